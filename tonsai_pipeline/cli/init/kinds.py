"""Names and texts -> the kind of a source: pages, sentences, headlines, a lexicon, verse, dialogue.

    "khm/poems.jsonl" ──kind_of_name──▶ verse        ["She came.", "He left.", ...] ──kind_of_texts──▶ sentences

A name says it best. Verse and dialogue are told by their names alone: their lines look like those of scanned pages.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from tonsai_pipeline.cli.init.splits import words_of
from tonsai_pipeline.quality.signals import Signal, measure
from tonsai_pipeline.recipe.quality import QualityConfig
from tonsai_pipeline.recipe.sources import Kind

_WORDS: dict[Kind, str] = {
    "lexicon": "dictionary dictionaries dict lexicon glossary thesaurus wiktionary wordlist vocabulary",
    "verse": "verse verses poem poems poetry song songs lyrics hymns",
    "dialogue": "dialogue dialogues dialog dialogs conversation conversations subtitles opensubtitles transcript "
    "transcripts interview interviews plays",
    "headlines": "headline headlines",
    "sentences": "sentence sentences tatoeba bitext",
}
_KIND_OF_WORD: dict[str, Kind] = {
    word: kind for kind, words in _WORDS.items() for word in words.split()
}
#: Short documents from so many on are no accident, and say what a source is.
_MIN_SHORT_FRAC, _MIN_DOCUMENTS = 0.3, 20
_MIN_ONE_LINE_FRAC = 0.9
#: Punctuation of a median entry beside its last mark, as a share of its characters: pronunciation in brackets, abbreviations
#: (a Khmer dictionary 0.10; sentences 0.02 and 0.03, encyclopaedia paragraphs 0.01).
_MIN_PUNCTUATION_OF_ENTRIES = 0.06
#: Fewer of the documents end as sentences do: they are headlines if they have the words of a clause
#: (strings of user interfaces 0.05 without, sentences 0.92).
_MAX_ENDED_FRAC_OF_HEADLINES = 0.3


def kind_of_name(path: PurePosixPath) -> Kind | None:
    """Return the kind that a path names; the innermost folder or file that names one decides.

    Example:
        >>> kind_of_name(PurePosixPath("poems/khm/a.txt")), kind_of_name(PurePosixPath("news.csv"))
        ('verse', None)
    """
    for piece in reversed(path.parts):
        for word in words_of(piece):
            if word in _KIND_OF_WORD:
                return _KIND_OF_WORD[word]
    return None


def kind_of_texts(texts: pa.Array, lang: str) -> Kind:
    """Return the kind that texts look like.

    Args:
        texts: Arrow strings, normalized, of one language.
        lang: That language, khm or eng.

    Example:
        >>> kind_of_texts(pa.array(["She came home late.", "He was not there."] * 20), "eng")
        'sentences'
    """
    signals = measure(texts)
    of = signals.of
    short = of(Signal.num_words) < QualityConfig().of(lang).min_words
    if len(texts) < _MIN_DOCUMENTS or short.mean() < _MIN_SHORT_FRAC:
        return "prose"
    if (of(Signal.num_lines) <= 1).mean() >= _MIN_ONE_LINE_FRAC:
        last_mark = 1 / np.maximum(of(Signal.num_chars), 1)  # every sentence has one
        if np.median(of(Signal.punctuation_frac) - last_mark) >= _MIN_PUNCTUATION_OF_ENTRIES:
            return "lexicon"
        clauses = of(Signal.num_stop_words) + of(Signal.num_verbs) > 0
        if of(Signal.last_line_ends).mean() < _MAX_ENDED_FRAC_OF_HEADLINES and clauses.mean() > 0.5:
            return "headlines"
    return "sentences"
