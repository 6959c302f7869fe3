"""Words: joined they are the text, and none begins inside a cluster."""

from __future__ import annotations

import regex
from hypothesis import given, settings
from tokenizers import Regex, pre_tokenizers

from tonsai_pipeline.tokenizer.pretokenize import (
    CLUSTERS,
    GPT2_PATTERN,
    WORD_PATTERN,
    split_words,
    split_words_gpt2,
)
from tonsai_pipeline_tests.tokenizer.texts import any_text


@given(any_text)
@settings(max_examples=200, deadline=None)
def test_words_joined_are_the_text(text: str) -> None:
    assert "".join(split_words(text)) == text
    assert "".join(split_words_gpt2(text)) == text


@given(any_text)
@settings(max_examples=200, deadline=None)
def test_no_word_begins_inside_a_cluster(text: str) -> None:
    inside = {at for m in CLUSTERS.finditer(text) for at in range(m.start() + 1, m.end())}
    at = 0
    for word in split_words(text):
        assert at not in inside
        at += len(word)


@given(any_text)
@settings(max_examples=100, deadline=None)
def test_the_words_are_those_of_the_pattern_inside_the_tokenizer(text: str) -> None:
    inner = pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated").pre_tokenize_str(text)
    # The two engines may know another version of Unicode: only assigned, common characters are compared.
    if regex.fullmatch(r"[\u0000-\u024F\u0E00-\u0E7F\u1780-\u17FF\u200C\u200D]*", text):
        assert [piece for piece, _ in inner] == split_words(text)


def test_digits_are_words_by_themselves_and_punctuation_leads_a_word() -> None:
    assert split_words("ឆ្នាំ២០២៦ (in 2026)") == [
        "ឆ្នាំ", "២", "០", "២", "៦", " (", "in", " ", "2", "0", "2", "6", ")",
    ]  # fmt: skip


def test_gpt2_cuts_inside_clusters() -> None:
    assert len(split_words_gpt2("ស្ត្រី")) > 1
    assert split_words("ស្ត្រី") == ["ស្ត្រី"]
    assert GPT2_PATTERN != WORD_PATTERN


def test_our_clusters_are_those_of_the_text_room() -> None:
    from tonsai_pipeline.text import codepoints as cp

    for code in range(cp.KHMER_FIRST, cp.KHMER_LAST + 1):
        slot = cp.Slot(int(cp.SLOTS[code - cp.KHMER_FIRST]))
        char = chr(code)
        is_base = CLUSTERS.fullmatch(char) is not None
        is_mark = CLUSTERS.fullmatch("ក" + char) is not None and not is_base
        if slot == cp.Slot.BASE:
            assert is_base
        elif slot not in (cp.Slot.OTHER, cp.Slot.COENG):
            assert is_mark
