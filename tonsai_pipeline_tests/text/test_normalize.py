"""Normalization: the rules one by one, the vectors, and what holds for every text."""

from __future__ import annotations

import itertools
import json
import random
import re
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pheasa
import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tonsai_pipeline.text import (
    NormalizeOptions,
    normalize,
    normalize_batch,
    normalize_batch_report,
)
from tonsai_pipeline_tests.text.samples import COENG, any_text, khmer_text

#: UTN #61 and nothing else: what pheasa does without options.
PLAIN = NormalizeOptions(
    strip_zwsp=False,
    strip_joiners=False,
    strip_ignorables=False,
    fold_spaces=False,
    fold_deprecated=False,
    collapse_duplicate_marks=False,
)
EVERY_SWITCH = [NormalizeOptions(), PLAIN, NormalizeOptions(coeng_da="preserve")] + [
    replace(NormalizeOptions(), **{name: False})
    for name in NormalizeOptions().to_dict()
    if name not in ("normalizer_version", "coeng_da")
]

# --- the rules, one by one -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        # The vowel, sign or shifter typed before the coeng it belongs behind.
        ("\u1780\u17b6\u17d2\u179f", "\u1780\u17d2\u179f\u17b6"),
        ("\u1780\u17c6\u17b6", "\u1780\u17b6\u17c6"),
        ("\u1798\u17b6\u17c9", "\u1798\u17c9\u17b6"),
        ("\u1780\u17d2\u179f\u17cc", "\u1780\u17cc\u17d2\u179f"),
        # Coeng ro goes behind the other coeng.
        ("\u179f\u17d2\u179a\u17d2\u178f\u17b8", "\u179f\u17d2\u178f\u17d2\u179a\u17b8"),
        # Vowels typed in halves.
        ("\u1780\u17c1\u17b8", "\u1780\u17be"),
        ("\u1780\u17c1\u17b6", "\u1780\u17c4"),
        ("\u1780\u17b6\u17c1", "\u1780\u17c4"),
        # -u under an above vowel is a shifter: triisap for strong clusters, muusikatoan for weak.
        ("\u179f\u17bb\u17b8", "\u179f\u17ca\u17b8"),
        ("\u1798\u17bb\u17b8", "\u1798\u17c9\u17b8"),
        ("\u1794\u17bb\u17d0\u1784", "\u1794\u17c9\u17d0\u1784"),
        ("\u1780\u17bb\u17d0", "\u1780\u17bb\u17d0"),
        ("\u179f\u17bb\u17b6\u17c6", "\u179f\u17ca\u17b6\u17c6"),
        ("\u179f\u17be\u17bb", "\u179f\u17ca\u17be"),
        # Repeated coengs, joiners after a coeng.
        ("\u1780\u17d2\u17d2\u179f", "\u1780\u17d2\u179f"),
        ("\u1780\u17d2\u200c\u179f", "\u1780\u17d2\u179f"),
        ("\u1780\u17d2\u200d\u179f", "\u1780\u17d2\u179f"),
        # Coeng DA.
        ("\u1780\u178e\u17d2\u178a\u17b6\u179b", "\u1780\u178e\u17d2\u178f\u17b6\u179b"),
        # A mark typed twice; nikahit has two places.
        ("\u1796\u17bd\u17bd\u1780", "\u1796\u17bd\u1780"),
        ("\u1780\u17b6\u17b6\u17b6\u17b6", "\u1780\u17b6"),
        ("\u1780\u17c6\u17c6\u17c6", "\u1780\u17c6\u17c6"),
        # Deprecated and discouraged characters.
        ("\u17a3", "\u17a2"),
        ("\u17a4", "\u17a2\u17b6"),
        ("\u1780\u17b4\u179a\u17b5", "\u1780\u179a"),
        ("\u1780\u17d8", "\u1780\u17d4\u179b\u17d4"),
        # Invisible characters.
        ("\u1780\u200b\u1781", "\u1780\u1781"),
        ("\u1780\u200b.\u200ba", "\u1780.a"),
        ("\u1780\u200b\u17d2\u179f", "\u1780\u17d2\u179f"),
        ("\ufeff\u1780\u00ad\u1781", "\u1780\u1781"),
        ("\u1780\u00a0\u1781\u2028\u1782\u2029", "\u1780 \u1781\n\u1782\n"),
        ("\u1780\u200d\u1781\u200c\u1782", "\u1780\u1781\u1782"),
        # The repetition sign is punctuation: never collapsed.
        ("\u1780\u17d7\u17d7", "\u1780\u17d7\u17d7"),
    ],
)
def test_each_rule_turns_the_wrong_spelling_into_the_right_one(wrong: str, right: str) -> None:
    assert normalize(wrong) == right
    assert normalize(right) == right


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain ASCII\r\n\twith controls\x00",
        "caf\u00e9 na\u00efve \u201cquotes\u201d \u00bd \uff21 \u2163 x\u00b2",
        "\u17e1\u17e2\u17e3 123",
        "\u17b2\u17d2\u1799 \u17b1\u17d2\u1799",
        # The ZWNJ that keeps a shifter above: strong with triisap, weak with muusikatoan.
        "\u17a2\u17ca\u200c\u17b9\u1798",
        "\u1798\u17c9\u200c\u17b8",
        # Final coeng of Middle Khmer.
        "\u1780\u17b6\u200d\u17d2\u1798",
        # Emoji, Persian and Thai keep their joiners and their zero-width spaces.
        "\U0001f469\u200d\U0001f469\u200d\U0001f467",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0e20\u0e32\u0e29\u0e32\u200b\u0e44\u0e17\u0e22",
    ],
)
def test_what_is_right_or_foreign_stays(text: str) -> None:
    assert normalize(text) == text


@pytest.mark.parametrize("space", ["\u00a0", "\u2028", "\u2029", " ", "\u200b", "\u17d8", "\u00e9"])
@pytest.mark.parametrize("before", ["", "\u200b", "\u00a0a\u00ad"])
def test_a_syllable_is_repaired_up_to_what_is_folded_behind_it(before: str, space: str) -> None:
    text = f"{before}\u1780\u17c1\u17b8{space}\u1781\u17b6"
    assert normalize(text) == normalize(before) + "\u1780\u17be" + normalize(space) + "\u1781\u17b6"


def test_nfc_comes_before_the_repair() -> None:
    # NFC alone would leave the sign before the coeng's base.
    assert normalize("\u1780\u17dd\u17d2\u179f") == "\u1780\u17d2\u17dd\u179f"
    assert normalize("cafe\u0301 \u1780\u17c1\u17b8") == "caf\u00e9 \u1780\u17be"


def test_a_zwnj_that_changes_nothing_goes() -> None:
    assert normalize("\u1798\u17c9\u200c\u17b6") == "\u1798\u17c9\u17b6"
    assert normalize("\u1780\u17b6\u200c\u1781") == "\u1780\u17b6\u1781"


def test_preserve_keeps_coeng_da_and_only_that() -> None:
    options = NormalizeOptions(coeng_da="preserve")
    assert normalize("\u1780\u17d2\u178a\u17c1\u17b8", options) == "\u1780\u17d2\u178a\u17be"


@pytest.mark.parametrize(
    ("switch", "text"),
    [
        ("strip_zwsp", "\u1780\u200b\u1781"),
        ("strip_joiners", "\u1780\u200d\u1781"),
        ("strip_ignorables", "\u1780\u00ad\ufeff\u1781"),
        ("fold_spaces", "\u1780\u00a0\u1781\u2028"),
        ("fold_deprecated", "\u17a3\u17a4\u1780\u17b5\u17d8"),
        ("collapse_duplicate_marks", "\u1780\u17b6\u17b6"),
    ],
)
def test_each_switch_turns_its_rule_off(switch: str, text: str) -> None:
    assert normalize(text, replace(NormalizeOptions(), **{switch: False})) == text
    assert normalize(text) != text


def test_a_syllable_whose_repair_would_draw_in_the_next_letter_is_left_as_typed() -> None:
    # Sorted, the open coeng would come last and take the next base as its own.
    text = "\u1780\u17b6\u17d2" + "\u1781"
    open_final = "\u1780\u17c6\u200d\u17d2\u17b6" + "\u1781"
    for typed in (text, open_final):
        assert normalize(typed) == normalize(normalize(typed))
    _, report = normalize_batch_report(pa.array([open_final]))
    assert report[0].as_py()["num_left_as_typed"] == 1


# --- vectors and oracle ---------------------------------------------------------------------------


def _vectors(real_data: Path, name: str) -> list[dict[str, str]]:
    lines = (real_data / "vectors" / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("sil_bad_good", 85),
        ("utn61_pairs", 53),
        ("utn61_not_autofixable", 2),
        ("deprecated_folds", 5),
    ],
)
def test_every_vector_comes_out_right(real_data: Path, name: str, count: int) -> None:
    rows = _vectors(real_data, name)
    wrong = [row for row in rows if normalize(row["wrong"]) != row["right"]]
    assert (len(rows), wrong) == (count, [])


def test_correctly_spelt_words_do_not_change(real_data: Path) -> None:
    words = pa.array([row["word"] for row in _vectors(real_data, "identity_words")])
    assert len(words) == 1500
    assert normalize_batch(words).to_pylist() == words.to_pylist()


@pytest.mark.parametrize("step", [25, pytest.param(1, marks=pytest.mark.slow)])
def test_real_documents_come_out_as_pheasa_writes_them(
    real_text: dict[str, list[str]], step: int
) -> None:
    for name, texts in real_text.items():
        if not name.startswith("khm/"):
            continue
        # pheasa takes a byte order mark from the start of a text and leaves it elsewhere.
        sample = [text.lstrip("\ufeff") for text in texts[::step]]
        ours = normalize_batch(pa.array(sample), PLAIN).to_pylist()
        assert ours == [pheasa.normalize(text) for text in sample], name


def _two_coeng_ro(text: str) -> bool:
    """Tell whether pheasa stops halfway: of two coeng ro it moves neither behind a third coeng."""
    return text.count("\u179a") > 1 and text.count(COENG) > 2


@settings(max_examples=200, deadline=None)
@given(any_text)
@example("\u1784\u17cb\u17bb\u200c\u200d\u1784\u17b6\u17b8")
@example("\u1780\u17d2\u200d\u17b4\u0301\u17ca\u17c6\u17bb\u17cc\u17c4\u17c1")
def test_the_rules_of_the_technical_note_agree_with_pheasa(text: str) -> None:
    assume(not text.startswith("\ufeff") and not _two_coeng_ro(text))
    assert normalize(text, PLAIN) == pheasa.normalize(text)
    folded = NormalizeOptions(**{**vars(PLAIN), "fold_deprecated": True, "coeng_da": "preserve"})
    assert normalize(text, folded) == pheasa.normalize(
        text, preserve_coeng_da=True, fold_deprecated=True
    )


# --- properties -----------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(any_text, st.sampled_from(EVERY_SWITCH))
@example("\u17d2\u17b4\u179a\u200c\u17b6\u200b\u17ca", NormalizeOptions())
@example("a\u17dd\u0316\u200bb", NormalizeOptions())
@example("\u178ae\u17d2\u0301\u1792\u200c\u178a\u17bb", NormalizeOptions())
def test_normal_text_stays_normal_and_composed(text: str, options: NormalizeOptions) -> None:
    once = normalize(text, options)
    assert normalize(once, options) == once
    assert unicodedata.is_normalized("NFC", once)


@settings(max_examples=150, deadline=None)
@given(any_text)
def test_text_never_grows_but_by_the_folds_of_deprecated_letters(text: str) -> None:
    num_folds = text.count("\u17a4") + 2 * text.count("\u17d8")
    composed = unicodedata.normalize("NFC", text)
    assert len(normalize(text)) <= len(composed) + num_folds


@settings(max_examples=100, deadline=None)
@given(khmer_text)
def test_no_letter_is_lost_or_made_up(text: str) -> None:
    """The bases are those of the text, but for coeng DA and the deprecated ones."""
    before = [base for base in text if "\u1780" <= base <= "\u17b3"]
    options = NormalizeOptions(coeng_da="preserve", fold_deprecated=False)
    after = [base for base in normalize(text, options) if "\u1780" <= base <= "\u17b3"]
    assert sorted(before) == sorted(after)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from("\u1780\u1798\u179f\u1794\u17a2"),
    st.sampled_from(["", "\u17d2\u179a", "\u17d2\u1798", "\u17d2\u1799\u17d2\u179a"]),
    st.sampled_from(["", "\u17c9", "\u17ca"]),
    st.sampled_from(["", "\u17b6", "\u17b7", "\u17c1", "\u17be", "\u17bd"]),
    st.sampled_from(["", "\u17c6", "\u17cb"]),
    st.sampled_from(["", "\u17c7"]),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_marks_were_typed_does_not_matter(
    base: str, coengs: str, shifter: str, vowel: str, sign: str, final: str, rng: random.Random
) -> None:
    units = [coengs[at : at + 2] for at in range(0, len(coengs), 2)]
    marks = [*units, *(mark for mark in (shifter, vowel, sign, final) if mark)]
    right = base + "".join(marks)
    rng.shuffle(marks)
    assert normalize(base + "".join(marks)) == normalize(right) == right


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), any_text), max_size=8))
def test_a_batch_is_its_texts_one_by_one(texts: list[str | None]) -> None:
    expected = [None if text is None else normalize(text) for text in texts]
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        assert normalize_batch(pa.array(texts, kind)).to_pylist() == expected
    halves = pa.chunked_array([texts[:3], texts[3:]], pa.string())
    assert normalize_batch(halves).to_pylist() == expected
    sliced = pa.array(["\u1780\u17c1\u17b8", *texts, None], pa.string())[1:-1]
    assert normalize_batch(sliced).to_pylist() == expected


def test_options_survive_json_and_name_themselves() -> None:
    for options in EVERY_SWITCH:
        assert NormalizeOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options
    assert len({options.fingerprint for options in EVERY_SWITCH}) == len(EVERY_SWITCH)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"coeng_ta": "fold"}, "unknown normalizer options: coeng_ta"),
        ({"coeng_da": "keep"}, "coeng_da must be 'fold' or 'preserve'"),
        ({"strip_zwsp": "yes"}, "strip_zwsp must be true or false"),
        ({"normalizer_version": "0"}, "normalizer version '0'"),
    ],
)
def test_options_of_another_kind_are_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NormalizeOptions.from_dict(config)


def test_the_room_stands_alone() -> None:
    code = (
        "import sys, tonsai_pipeline.text as text; assert text.normalize('\\u1780\\u17c1\\u17b8');"
        "heavy = {'torch', 'dagster', 'pydantic', 'transformers', 'datasets', 'tokenizers'};"
        "found = heavy & {name.split('.')[0] for name in sys.modules}; assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_array_that_was_given_is_not_written_to() -> None:
    texts = pa.array(["\u1780\u17c1\u17b8", "\u1780\u200b\u1781"], pa.large_string())
    before = texts.to_pylist()
    normalize_batch(texts)
    assert texts.to_pylist() == before


def test_the_orders_of_a_real_syllable_are_one_word() -> None:
    marks = ["\u17d2\u179a", "\u17d2\u178f", "\u17b8"]
    spellings = {normalize("\u179f" + "".join(order)) for order in itertools.permutations(marks)}
    assert spellings == {"\u179f\u17d2\u178f\u17d2\u179a\u17b8"}


def test_the_documented_rules_are_the_rules() -> None:
    page = (Path(__file__).parents[2] / "docs" / "khmer.md").read_text("utf-8")
    rows = [line.split("|")[1:4] for line in page.splitlines() if line.startswith("| ")]
    documented = 0
    for _, before, after in (row for row in rows if len(row) == 3):
        wrong = [_code_points(cell) for cell in before.replace(";", ",").split(",")]
        right = [_code_points(cell) for cell in after.replace(";", ",").split(",")]
        if None in wrong or None in right:
            continue
        for number, spelling in enumerate(wrong):
            answer = right[min(number, len(right) - 1)]
            assert normalize(f"\u1780{spelling}") == f"\u1780{answer}", before
            documented += 1
    assert documented >= 20


def _code_points(cell: str) -> str | None:
    """Read "17C1 17B8" as the text it stands for; None for a cell that is prose."""
    names = cell.split()
    if names == ["nothing"]:
        return ""
    if not names or not all(re.fullmatch("[0-9A-F]{4}", name) for name in names):
        return None
    return "".join(chr(int(name, 16)) for name in names)


@pytest.mark.parametrize("mark", [0x200E, 0x200F, 0x2060])
def test_marks_of_direction_inside_khmer_are_taken_out_and_stay_elsewhere(mark: int) -> None:
    hidden = chr(mark)
    assert normalize(f"\u1780{hidden}\u17b6\u179a") == "\u1780\u17b6\u179a"
    assert normalize(f"\u1780\u17d2{hidden}\u179a\u17c4") == "\u1780\u17d2\u179a\u17c4"
    assert normalize(f"\u1780{hidden}{hidden}\u1781") == "\u1780\u1781"
    for kept in (f"shalom{hidden} \u05d0", f"a{hidden}b", f"\u1780 {hidden}x"):
        assert normalize(kept) == kept


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("one\u200btwo", "one two"),
        ("one\u200b\u200btwo", "one two"),
        ("\u00e9t\u00e9\u200bici", "\u00e9t\u00e9 ici"),
        ("one \u200btwo", "one two"),
        ("one\u200b.", "one."),
        ("3\u200b4", "34"),
        ("\u1780\u200bone", "\u1780one"),
        ("\u0e01\u200b\u0e02", "\u0e01\u200b\u0e02"),
    ],
)
def test_a_zero_width_space_between_two_latin_words_is_a_space(typed: str, stored: str) -> None:
    assert normalize(typed) == stored
    assert normalize(stored) == stored


def test_lengthened_vowels_can_be_kept() -> None:
    word = "\u178e\u17b6\u17b6\u17b6\u17b6"
    assert normalize(word) == "\u178e\u17b6"
    assert normalize(word, NormalizeOptions(collapse_duplicate_marks=False)) == word
