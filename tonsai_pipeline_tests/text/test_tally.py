"""One pass counts what a slow count of units, letters and words of lists finds."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text import (
    clusters,
    cut_damage_batch,
    label_batch,
    languages_batch,
    script_shares_batch,
    words,
)
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.lexicon import Lexicon
from tonsai_pipeline.text.strange_words import read_word
from tonsai_pipeline.text.tally import COUNTED
from tonsai_pipeline.text.utf8 import batch_of_text
from tonsai_pipeline_tests.text.test_legacy_fonts import LIMON

LISTS = {"khmer": ["បាន", "នៅ", "ក្នុង"], "english": ["the", "don't"], "pali": ["ច", "វា"]}
LEXICON = Lexicon(LISTS, spaced=["pali"])
PIECES = [
    *"aeZ0'’ .\n_éÿ漢ក\u17b6\u17d2\u17d4\u17e1\u179d\u17dd\u200b\u200c\u200d\u00a0\u0301",
    *("the", "don't", "bcdfg", "xQz", "a1b", "បាន", "នៅ", "ក្នុង", "ច", "វា", "ខ្មែរ", "BIkarRb"),
]
texts = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)


def _slow(text: str) -> dict[str, int]:
    kinds = [int(ch.character_kinds()[ord(character)]) for character in text]
    khmer = [kind in (ch.KHMER_BASE, ch.KHMER_MARK) for kind in kinds]
    odd = {chr(point) for point in (cp.LETTER_SHA, cp.LETTER_SSO, cp.ATTHACAN)}
    spelled = [text[start:end] for start, end in words(text)]
    read = [
        read_word(data, 0, len(data), ch.character_kinds())
        for data in (batch_of_text(word).data for word in spelled)
    ]
    return {
        "khmer": sum(khmer),
        "latin": kinds.count(ch.LATIN),
        "other": kinds.count(ch.LETTER) + kinds.count(ch.IDEOGRAPH),
        "accented": sum(k == ch.LATIN and c > "\x7f" for k, c in zip(kinds, text, strict=True)),
        "odd": sum(character in odd for character in text),
        "clusters": len(clusters(text)),
        "words": len(spelled),
        "latin_words": sum(letters > 0 for letters, _, _ in read),
        "strange": sum(strange for _, strange, _ in read),
        "blurred": sum(blurred for _, _, blurred in read),
    }


def _slow_lists(text: str) -> list[int]:
    units = [(start, end, True) for start, end in clusters(text)]
    units = sorted([*units, *((start, end, False) for start, end in words(text))])
    run: list[str] = []
    counts = dict.fromkeys(LISTS, 0)
    last, run_start, run_length = -1, 0, 0
    for start, end, is_cluster in units:
        if start != last or not is_cluster:
            run, run_start, run_length = [], start, 0
        run, run_length = [*run[-3:], text[start:end].lower()], run_length + 1
        last = end
        for name, listed in LISTS.items():
            for word in listed:
                own = [word[a:b] for a, b in clusters(word)] or [word]
                if run[-len(own) :] != own:
                    continue
                gaps = {" ", "\n", "\u00a0", "\u17d4"}
                alone = len(own) == run_length
                alone &= run_start == 0 or text[run_start - 1] in gaps
                alone &= end == len(text) or text[end] in gaps
                counts[name] += name != "pali" or alone
    return list(counts.values())


@settings(max_examples=300, deadline=None)
@given(texts)
@example("don't''a'5'b'’c bcdf'g")
@example("a'\u17d2\u1780")
def test_the_pass_counts_what_a_slow_count_finds(text: str) -> None:
    counts, listed = LEXICON.tally(batch_of_text(text))
    assert dict(zip(COUNTED, counts[0].tolist(), strict=True)) == _slow(text)
    assert listed[0].tolist() == _slow_lists(text)


@pytest.mark.parametrize("word", ["b" * 70_000, "a" * 70_000, "Ab" * 70_000])
def test_a_word_of_any_length_is_counted(word: str) -> None:
    counts, _ = LEXICON.tally(batch_of_text(word + " the"))
    assert dict(zip(COUNTED, counts[0].tolist(), strict=True)) == _slow(word + " the")


@pytest.mark.parametrize("piece", ["ខ្មែរបាននៅ", "don't the ", "x' ", "ab", "កា the"])
def test_a_text_of_any_length_is_counted_in_stretches(piece: str) -> None:
    text = piece * (14_000 // len(piece.encode()))
    counts, listed = LEXICON.tally(batch_of_text(text))
    assert dict(zip(COUNTED, counts[0].tolist(), strict=True)) == _slow(text)
    assert listed[0].tolist() == _slow_lists(text)


def test_one_pass_labels_as_three_do() -> None:
    prose = "The law of 1993 on the budget was printed in a font that nobody has any more."
    page = f"{prose}\n{LIMON}\nWhat stands here again is plain English."
    array = pa.array([page, prose, None, "ខ្មែរ", LIMON, "Der Hund und die Katze sind nicht da."])
    undamaged, languages, shares = label_batch(array)
    slow = cut_damage_batch(array)
    assert slow.cut_bytes[0] > 0
    assert undamaged.texts.equals(slow.texts)
    assert undamaged.reasons.equals(slow.reasons)
    assert languages.equals(languages_batch(slow.texts))
    assert shares.equals(script_shares_batch(slow.texts))
