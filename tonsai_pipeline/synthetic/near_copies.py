"""a document and a target Jaccard -> an edited copy, and the Jaccard it really has.

Two ways people copy: words replaced by others of their kind here and there, or whole sentences left out first. Either
way the last, fine steps are single words, so the copy lands close to the target; what is recorded is the exact value.
"""

from __future__ import annotations

from random import Random

import regex

from tonsai_pipeline.synthetic.lexicon import stand_ins, word_spans
from tonsai_pipeline.synthetic.likeness import set_jaccard, shingles

_SENTENCE = regex.compile(r"[^\u17D4\u17D5.?\n]+[\u17D4\u17D5.?]+ ?")
_NUM_FINE_TRIES = 8

_Edit = tuple[int, int, str]


def near_copy(text: str, rng: Random, jaccard: float) -> tuple[str, float]:
    """Edit a copy of a document until its Jaccard with the original is close to a target.

    Args:
        text: A document of this grammar, best of 250 shingles or more: an edit cannot be smaller than a word, and a word
            sits in five shingles (English) or some fourteen (Khmer).
        rng: Chooses the way of copying and the words.
        jaccard: The target, between 0 and 1.

    Returns:
        The copy, and its exact Jaccard with `text` by `likeness.jaccard`. A text with too few words of the vocabulary
        comes as far as they go.

    Raises:
        ValueError: `jaccard` is not between 0 and 1.
    """
    if not 0 < jaccard < 1:
        raise ValueError(f"jaccard must lie between 0 and 1, not {jaccard}")
    copier = _Copier(text)
    kept = copier.cut_sentences(rng, jaccard) if rng.random() < 0.4 else []
    words = [
        (start, end, rng.choice(stand_ins()[word]))
        for start, end, word in word_spans(text)
        if not any(cut_start < end and start < cut_end for cut_start, cut_end, _ in kept)
    ]
    rng.shuffle(words)
    num_words = copier.most_edits_above(kept, words, jaccard)
    kept = kept + words[:num_words]
    # One more word may land nearer than none; words beside an edited one cost fewer shingles, so try a few.
    tries = [kept, *([*kept, word] for word in words[num_words : num_words + _NUM_FINE_TRIES])]
    best = min(tries, key=lambda edits: abs(copier.likeness(edits) - jaccard))
    return copier.apply(best), copier.likeness(best)


class _Copier:
    """One original, measured once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._shingles = shingles(text)

    def apply(self, edits: list[_Edit]) -> str:
        """Return the text with its edits made; they must not overlap."""
        pieces, position = [], 0
        for start, end, replacement in sorted(edits):
            pieces += [self._text[position:start], replacement]
            position = end
        return "".join([*pieces, self._text[position:]])

    def likeness(self, edits: list[_Edit]) -> float:
        """Return the Jaccard of the edited text with the original."""
        return set_jaccard(self._shingles, shingles(self.apply(edits)))

    def cut_sentences(self, rng: Random, jaccard: float) -> list[_Edit]:
        """Leave out sentences while the likeness stays above the target."""
        sentences = [(match.start(), match.end(), "") for match in _SENTENCE.finditer(self._text)]
        cut: list[_Edit] = []
        for sentence in rng.sample(sentences, len(sentences)):
            if self.likeness([*cut, sentence]) < jaccard:
                break
            cut.append(sentence)
        return cut

    def most_edits_above(self, kept: list[_Edit], words: list[_Edit], jaccard: float) -> int:
        """Return how many of `words` can be replaced before the likeness falls below the target (binary search)."""
        low, high = 0, len(words)
        while low < high:
            middle = (low + high + 1) // 2
            if self.likeness(kept + words[:middle]) >= jaccard:
                low = middle
            else:
                high = middle - 1
        return low
