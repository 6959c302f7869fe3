"""The grammar in both languages: seeded, coherent, correctly encoded, and different enough from document to document."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from importlib import resources
from random import Random

import pheasa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.synthetic.corpus import PlannedDump
from tonsai_pipeline.synthetic.grammar import (
    TOPICS,
    document,
    headline,
    language,
)
from tonsai_pipeline.synthetic.likeness import shingles, units
from tonsai_pipeline.synthetic.truth import Kind

LANGS = ("khm", "eng")


@pytest.mark.parametrize("lang", LANGS)
def test_the_same_generator_writes_the_same_document(lang):
    assert document(Random(5), lang) == document(Random(5), lang)
    assert document(Random(5), lang) != document(Random(6), lang)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), genre=st.sampled_from(["news", "wiki", "web", "book"]))
def test_khmer_documents_are_already_normalized_and_valid(seed, genre):
    text = document(Random(seed), "khm", genre=genre)
    assert pheasa.normalize(text, zwsp="strip") == text
    assert not pheasa.validate(text)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), genre=st.sampled_from(["news", "wiki", "web", "book"]))
def test_documents_are_whole_sentences_in_the_asked_number_of_paragraphs(seed, genre):
    khmer = document(Random(seed), "khm", num_paragraphs=3, genre=genre).split("\n")
    english = document(Random(seed), "eng", num_paragraphs=3, genre=genre).split("\n")
    assert len(khmer) == len(english) == 3
    assert all(paragraph.endswith(("។", "៕")) for paragraph in khmer)
    assert all(
        re.match(r'["A-Z0-9]', paragraph) and paragraph.endswith(".") for paragraph in english
    )
    assert not re.search(r"  | [,.។]|[.។]{2}|[{}]|None", "\n".join(khmer + english))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), topic=st.sampled_from(TOPICS))
def test_a_document_speaks_of_its_own_topic_more_than_of_any_other(seed, topic):
    for lang in LANGS:
        text = document(Random(seed), lang, topic, 5)
        mentions = {
            other.key: sum(text.count(thing) for thing in other.words["things"])
            for other in language(lang).topics.values()
        }
        assert max(mentions, key=lambda key: mentions[key]) == topic


def test_both_languages_have_the_same_topics():
    assert tuple(language("eng").topics) == TOPICS
    assert len(set(TOPICS)) == 16


def test_topics_differ_in_the_things_they_speak_of():
    for lang in LANGS:
        topics = [topic.words for topic in language(lang).topics.values()]
        counts = Counter(thing for words in topics for thing in words["things"])
        assert all(len(words["things"]) >= 10 and len(words["actions"]) >= 9 for words in topics)
        assert max(counts.values()) <= 2


def test_english_actions_have_three_forms_that_end_as_they_should():
    for topic in language("eng").topics.values():
        for action in topic.words["actions"]:
            base, _, gerund = action.split()
            assert gerund.endswith("ing")
            assert gerund[0] == base[0]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_rises_rises_and_a_part_is_smaller_than_its_whole(seed):
    text = document(Random(seed), "eng", num_paragraphs=6)
    for verb, before, after in re.findall(
        r"(rose|grew|climbed|fell|dropped|shrank) from ([\d,]+) to ([\d,]+)", text
    ):
        rises = int(before.replace(",", "")) < int(after.replace(",", ""))
        assert rises == (verb in {"rose", "grew", "climbed"})
    for whole, part in re.findall(r"[oO]f (\d+) [a-z -]+, (\d+) ", text):
        assert int(part) < int(whole)


def test_numbers_are_written_in_khmer_digits():
    assert language("khm").number(2026) == "២០២៦"
    assert language("khm").number(1_250_000) == "១.២៥០.០០០"


def test_an_unknown_topic_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="no topic 'politics'; there are farming, fishing"):
        document(Random(0), "khm", "politics")
    with pytest.raises(ValueError, match="no topic 'politics'"):
        headline(Random(0), "eng", "politics")


@pytest.mark.parametrize("lang", LANGS)
def test_every_slot_of_every_template_can_be_filled_and_every_word_list_is_used(lang):
    words = language(lang)
    source = (resources.files("tonsai_pipeline.synthetic") / f"{lang}.yaml").read_text("utf-8")
    slots = set(re.findall(r"\{([^{}\".]+)(?:\.\d)?\}", source))
    topic_words = next(iter(words.topics.values())).words
    known = {*words.words, *words.slots, *words.scene, *topic_words}
    bound = {"topic", "measure", "unit", "moved", "before", "after", "whole", "part"}
    assert {slot.lower() for slot in slots} <= known | bound
    assert {*words.words, *words.slots, *topic_words} <= slots | {"rose", "fell", "links"}


def test_no_two_documents_of_the_full_corpus_are_near_duplicates(full_plan: list[PlannedDump]):
    good = [row for dump in full_plan for row in dump.rows if row.truth.kind is Kind.GOOD]
    sizes, holders = [], defaultdict(list)
    for number, row in enumerate(good):
        found = shingles(row.text)
        sizes.append(len(found))
        for shingle in found:
            holders[shingle].append(number)
    shared = Counter(
        (left, right)
        for numbers in holders.values()
        for place, right in enumerate(numbers)
        for left in numbers[:place]
    )
    worst = max(num / (sizes[left] + sizes[right] - num) for (left, right), num in shared.items())
    assert len(good) > 800
    assert worst < 0.05


def test_documents_are_not_repetitive_inside(full_plan: list[PlannedDump]):
    """The limits of Gopher's repetition filter (Rae et al., 2021), which good text must pass."""
    for row in (row for dump in full_plan for row in dump.rows if row.truth.kind is Kind.GOOD):
        row_units = units(row.text)
        # Twelve clusters are about five words.
        per_word = 2.4 if row.truth.lang == "khm" else 1
        assert _top_frac(row_units, round(2 * per_word)) < 0.20
        assert _top_frac(row_units, round(4 * per_word)) < 0.16
        assert _repeated_frac(row_units, round(5 * per_word)) < 0.15
        assert _repeated_frac(row_units, round(10 * per_word)) < 0.10


def _top_frac(row: list[str], size: int) -> float:
    counts = Counter(tuple(row[start : start + size]) for start in range(len(row) - size + 1))
    gram, num = counts.most_common(1)[0]
    return num * sum(map(len, gram)) / sum(map(len, row))


def _repeated_frac(row: list[str], size: int) -> float:
    seen, repeated, start = set(), 0, 0
    while start + size <= len(row):
        gram = tuple(row[start : start + size])
        if gram in seen:
            repeated += sum(map(len, gram))
            start += size
        else:
            seen.add(gram)
            start += 1
    return repeated / sum(map(len, row))
