"""The words themselves: spelt as real Khmer text spells them."""

from __future__ import annotations

import gzip
import json

import pheasa

from tonsai_pipeline.synthetic.grammar import language
from tonsai_pipeline.synthetic.lexicon import stand_ins, word_spans

#: Invented on purpose, so no real text need hold them.
_INVENTED = {"family_names", "male_names", "female_names", "village_heads", "village_tails"}


def _khmer_words() -> set[str]:
    khmer = language("khm")
    topics = khmer.topics.values()
    of_topics = {word for topic in topics for row in topic.words.values() for word in row}
    measures = {word for topic in topics for m in topic.measures for word in (m.noun, m.unit)}
    shared = {w for kind, row in khmer.words.items() if kind not in _INVENTED for w in row}
    return of_topics | measures | shared


def test_the_vocabulary_is_large():
    assert len(_khmer_words()) > 900


def test_every_word_is_encoded_as_the_normalizer_leaves_it():
    for word in _khmer_words():
        assert pheasa.normalize(word) == word
        assert not pheasa.validate(word)
        assert "\u200b" not in word


def test_a_stand_in_is_another_word():
    for word, others in stand_ins().items():
        assert others
        assert word not in others


def test_words_are_found_whole_and_longest_first():
    assert [word for _, _, word in word_spans("the fishermen smoked dried fish")] == [
        "fishermen",
        "smoked",
        "dried fish",
    ]
    # No word may end where a mark of its last cluster still follows.
    for start, end, word in word_spans("ត្រីឆ្អើរ"):
        assert (start, end, word) == (0, 9, "ត្រីឆ្អើរ")


def test_real_text_spells_most_words_the_same_way(real_data):
    texts = []
    for name in ("news", "wikipedia", "dictionary", "web_oscar", "ntrex128", "libreoffice_help"):
        with gzip.open(real_data / "khm" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    real = pheasa.normalize("\n".join(texts), zwsp="strip")
    attested = {word for word in _khmer_words() if word in real}
    # The rest are compounds (a reason, an aim) that nobody happened to write in these files.
    assert len(attested) / len(_khmer_words()) > 0.7
