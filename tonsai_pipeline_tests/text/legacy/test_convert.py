"""Codes of a legacy font -> Unicode: the rules one by one, and the round trip through an encoder."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tonsai_pipeline.text import normalize, normalize_batch
from tonsai_pipeline.text.legacy import (
    convert,
    convert_batch,
    family_of_font,
    parse_table,
    shipped_tables,
    table_of,
)
from tonsai_pipeline_tests.text.legacy.encoder import encode

#: What a typist wrote in Limon, and what it reads; words of law and everyday sentences of our own.
PAIRS = [
    ("RBHraCaNacRkkm<úCa", "ព្រះរាជាណាចក្រកម្ពុជា"),
    ("PasaExµr", "ភាសាខ្មែរ"),
    ("bBa¢ak;", "បញ្ជាក់"),
    ("sBaØa", "សញ្ញា"),
    ("karN_énbBaØtþi", "ករណ៍នៃបញ្ញត្តិ"[:0] + "ការណ៍នៃបញ្ញត្តិ"),
    ("bBaØénsala", "បញ្ញនៃសាលា"),  # the left vowel behind NYO's subscript is of the next letter
    ("eTAtamc,ab;", "ទៅតាមច្បាប់"),
    ("ebIGñkmin)anbg;R)ak;", "បើអ្នកមិនបានបង់ប្រាក់"),
    ("Gñkep£IsMbuRt", "អ្នកផ្ញើសំបុត្រ"),
    ("k¾edayrhUtdl;éf¶enH", "ក៏ដោយរហូតដល់ថ្ងៃនេះ"),
    ("eT[´", "ទេឱ្យខ្ញុំ"),
    ("b¤ b£ B¤", "ឬ ឫ ឮ"),
    ("b£u", "ឬ"),  # RYY of three strokes
    ("T,an", "ឡាន"),  # LA typed as TO and a subscript BA
    ("B§", "ព្ធ"),
    ("ehtuB§d¾", "ហេតុឰដ៏"),
    ("RsI kM ut", "ស្រី កំុត"[:5] + "កំុត"),
    ("elx5³ Bak³", "លេខ៥៖ ពាកៈ"),
    ("sYs³ )an", "សួសៈ បាន"),
    ("kñú g", "ក្នុ ង"),
    ("kar :", "ការ៉"),  # a gap before a mark that must hang on a letter
    ("5, 6", "៥, ៦"),
    ("siT§i‘", "សិទ្ធិ៊"),
]


@pytest.mark.parametrize(("codes", "text"), PAIRS)
def test_words_become_what_a_reader_sees(codes: str, text: str) -> None:
    assert convert(codes) == normalize(text)


def test_codes_are_the_same_in_every_code_page() -> None:
    codes = "PasaExµr siT§i‘ mata’"
    as_symbols = "".join(chr(0xF000 + ord(c)) if 0x20 < ord(c) < 0x100 else c for c in codes)
    assert convert(codes.replace("µ", "\u03bc")) == convert(codes) == convert(as_symbols)


def test_what_a_table_lacks_is_counted_and_stays() -> None:
    texts, counts = convert_batch(pa.array(["k^a\u0100 \n", None]), table_of("limon"))
    assert texts.to_pylist() == ["\u1780^\u17b6\u0100 \n", None]
    assert counts[0].tolist() == [3, 1, 0, 0]


def test_fonts_are_known_by_name() -> None:
    names = [
        "ABCDEF+LimonS1",
        "Limon R1 Bold",
        "ABC-TEXT-06",
        "ABC-TEXT-05",
        "ABCTEXTFIVE",
        "Arial",
        "Truth11",
    ]
    found = [family_of_font(name) for name in names]
    assert found == ["limon", "limon", "abc2", "abc", "abc", None, "truth"]


def test_a_table_of_ones_own_is_read_and_its_faults_are_named() -> None:
    table = parse_table("# family\tmine\n# fonts\tMy Font*\ncodes\tunicode\n41\t1780\n42\t17C1\n")
    assert convert("BA", table) == "\u1780\u17c1"
    assert family_of_font("MyFont-Bold", [table]) == "mine"
    for text, message in [
        ("codes\tunicode\n41\t1780\n", "# family"),
        ("# family\tx\ncodes\n", "line 2: the header"),
        ("# family\tx\ncodes\tunicode\n4\t1780\n", "line 3: write hexadecimal"),
        ("# family\tx\ncodes\tunicode\n41\t1780\n41\t1781\n", "line 4: codes 41"),
        ("# family\tx\ncodes\tunicode\n", "no row"),
    ]:
        with pytest.raises(ValueError, match=message):
            parse_table(text)


def test_only_verified_rows_are_shipped() -> None:
    limon, abc = shipped_tables()
    assert (len(limon.entries), len(abc.entries)) == (148, 131)
    # Each letter and each subscript but those that no font of the family draws apart.
    letters = {chr(code) for code in range(0x1780, 0x17A3)} - {"\u179d", "\u179e"}
    for table in (limon, abc):
        assert letters <= set(table.entries.values())


BASES = st.sampled_from([chr(c) for c in range(0x1780, 0x17A3) if c not in (0x179D, 0x179E)])
SUBSCRIPTS = st.sampled_from(
    [chr(c) for c in range(0x1780, 0x17A1) if c not in (0x1783, 0x178A, 0x179D, 0x179E, 0x1794)]
)
VOWELS = st.sampled_from(["", *(chr(c) for c in range(0x17B6, 0x17C6))])
SYLLABLES = st.builds(
    lambda base, sub, vowel, sign: base + (f"\u17d2{sub}" if sub else "") + vowel + sign,
    BASES, st.none() | SUBSCRIPTS, VOWELS, st.sampled_from(["", "\u17c6", "\u17c7"]),
)  # fmt: skip


@given(st.lists(SYLLABLES, min_size=1, max_size=12), st.sampled_from(["limon", "abc"]))
@example(["\u1789\u17d2\u1789", "\u1793\u17c3"], "limon")
def test_every_syllable_comes_back(syllables: list[str], family: str) -> None:
    # "-u" below NYO is its shifter where a vowel stands above: the glyphs are one.
    text = normalize("".join(syllables))
    assert convert(encode(text, family), family) == text


@given(st.text(max_size=200), st.sampled_from(["limon", "abc"]))
@example("\ud7ff\x1e\x00eR", "limon")
def test_any_text_converts_in_linear_space_and_loses_no_foreign_letter(
    text: str, family: str
) -> None:
    out = convert_batch(pa.array([text]), table_of(family))[0][0].as_py()
    foreign = [
        c
        for c in text
        if ord(c) > 0x2200 and not 0xF000 <= ord(c) <= 0xF0FF and not 0x1780 <= ord(c) <= 0x17FF
    ]
    kept = [c for c in out if ord(c) > 0x2200]
    assert [c for c in kept if c in set(foreign)] == foreign
    assert len(out) <= 8 * len(text) + 8


@pytest.mark.parametrize(("name", "count"), [("news", 100), ("wikipedia", 450)])
@pytest.mark.parametrize("family", ["limon", "abc"])
def test_real_text_comes_back(real_data: Path, name: str, count: int, family: str) -> None:
    """At least 99.9 % of the characters, apart from the two letters of "give", which are one glyph."""
    with gzip.open(real_data / "khm" / f"{name}.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines][:count]
    texts = normalize_batch(pa.array(texts)).to_pylist()
    # Letters of other scripts are codes of the font: only what is Khmer is compared.
    stretches = [s for text in texts for s in _khmer(text) if s]
    coded = pa.array([encode(s, family) for s in stretches], pa.large_string())
    back = normalize_batch(convert_batch(coded, table_of(family))[0]).to_pylist()
    fold = str.maketrans({"\u17b2": "\u17b1"})
    num_chars = sum(map(len, stretches))
    num_wrong = sum(
        _edits(a.translate(fold), b.translate(fold)) for a, b in zip(stretches, back, strict=True)
    )
    assert num_chars > 80_000
    assert num_wrong / num_chars <= 0.001, f"{num_wrong} of {num_chars} characters"


def _khmer(text: str) -> list[str]:
    """Words of Khmer letters and marks: digits and signs have rows of their own, and Latin letters are codes."""
    return re.findall("[\u1780-\u17d3]+", text)


def _edits(a: str, b: str) -> int:
    """Characters that differ, as a bound from above: those outside the common beginning and end."""
    if a == b:
        return 0
    start = next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
    a, b = a[start:], b[start:]
    end = next(
        (i for i, (x, y) in enumerate(zip(a[::-1], b[::-1], strict=False)) if x != y),
        min(len(a), len(b)),
    )
    return max(len(a), len(b)) - end


def test_normal_form_is_kept() -> None:
    assert unicodedata.is_normalized("NFC", convert("eRkAµ"))
