"""Legacy fonts and garbage."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.text import (
    GARBAGE_OCR,
    LEGACY_KHMER_FONT,
    cut_damage_batch,
    legacy_font_batch,
)
from tonsai_pipeline_tests.text.samples import ENGLISH_SENTENCE, KHMER_SENTENCE, any_text

# The kingdom's name and a date, typed on a Limon keyboard.
LIMON = "RBHraCaNacRkk\u011fm<\u00faCa RBHmhakSRt qñaM 2007 EdlmanEcgkñúgmaRta"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LIMON, LEGACY_KHMER_FONT),
        ("aBc dEf gHi jKl mNo pQr sTu vWx yZa bCd eFg hIj", GARBAGE_OCR),
        (KHMER_SENTENCE, None),
        (ENGLISH_SENTENCE, None),
        ("iPhone and YouTube work with PayPal on the new MacBook that you have", None),
        (f"{KHMER_SENTENCE} iPhone YouTube PayPal MacBook", None),
        ("\u00c9t\u00e9 \u00e0 No\u00ebl, gar\u00e7on pr\u00e8s du ch\u00e2teau", None),
        ("", None),
    ],
)
def test_a_reason_for_garbage_and_none_for_text(text: str, reason: str | None) -> None:
    assert legacy_font_batch(pa.array([text])).to_pylist() == [reason]


def test_legacy_pages_are_found_and_no_other_file_is_accused(
    real_text: dict[str, list[str]],
) -> None:
    for name, texts in real_text.items():
        reasons = legacy_font_batch(pa.array(texts)).to_pylist()
        share = sum(reason is not None for reason in reasons) / len(reasons)
        if name == "khm/junk_legacy_font":
            assert share >= 0.99
        else:
            assert share == 0, name


# --- line by line -----------------------------------------------------------------------------

LEGACY_LINES = (
    "maRta 228>- karkan;kab;edaycMeBaH nig karkan;kab;edayRbeyal",
    "1-karkan;kab;GaceFVI)anedayRbeyal tamry³GñkdéT)an .",
    "2-ebIGñkEdlnwgTTYlGnub,TannUvkarkan;kab; kþab;Tukvtßúkan;kab;eday",
    "RBHraCaNacRkkm<úCa qñaM 2007 EdlmanEcgkñúgmaRta énRkmrdæb,evNI",
)
CODE = """export function getElementById(onClick, className) {
  const newValue = useState(initialValue);
  return <div className="row" onClick={() => setVisible(!isVisible)}>{props.childNodes}</div>;
}
class HttpServletRequest extends BaseHttpRequest implements javaScriptObject { toString() }"""
KHMER_LINE = (KHMER_SENTENCE + " ") * 3


def test_a_legacy_body_between_unicode_lines_is_cut_out_and_counted() -> None:
    page = "\n".join([KHMER_LINE, *LEGACY_LINES, "12", *LEGACY_LINES, KHMER_LINE])
    found = cut_damage_batch(pa.array([page, KHMER_LINE, None]))
    assert found.texts.to_pylist() == [f"{KHMER_LINE}\n{KHMER_LINE}", KHMER_LINE, None]
    assert found.reasons.to_pylist() == [None, None, None]
    assert found.cut_lines[LEGACY_KHMER_FONT].tolist() == [9, 0, 0], "the page number goes along"
    assert found.cut_bytes[0] == sum(
        len(line.encode()) for line in (*LEGACY_LINES, *LEGACY_LINES, "12")
    )


def test_english_between_legacy_lines_stays() -> None:
    english = "The national assembly adopted this law on the third of May, and it was published in both languages here."
    found = cut_damage_batch(pa.array(["\n".join([*LEGACY_LINES, english, *LEGACY_LINES])]))
    assert found.texts.to_pylist() == [english]


def test_a_page_of_numbers_and_a_table_of_contents_in_a_legacy_font_is_named() -> None:
    contents = "\n".join(
        f"CMBUk {n} GMBIkarkan;kab;GclnvtßúrbseGñk {10 * n} 2007 {n} 1993" for n in range(12)
    )
    assert legacy_font_batch(pa.array([contents])).to_pylist() == [LEGACY_KHMER_FONT]


@pytest.mark.parametrize(
    "text",
    [
        CODE,
        CODE * 5,
        "MB_RETRYCANCEL\n" * 3 + ENGLISH_SENTENCE,
        f"{KHMER_SENTENCE} iPad Air 2 RAM 2GB iPhone iWatch 8GB",
    ],
)
def test_code_and_camel_case_are_never_accused(text: str) -> None:
    found = cut_damage_batch(pa.array([text]))
    assert found.reasons.to_pylist() == [None]
    assert found.texts.to_pylist() == [text]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([*LEGACY_LINES, KHMER_LINE, ENGLISH_SENTENCE, CODE, "", "7"]), any_text
        ),
        max_size=8,
    )
)
def test_what_stays_are_lines_of_the_text_in_their_order(lines: list[str]) -> None:
    page = "\n".join(lines)
    found = cut_damage_batch(pa.array([page], pa.large_string()))
    rest = iter(page.split("\n"))
    assert all(line in rest for line in found.texts[0].as_py().split("\n"))
    if found.reasons[0].as_py() is not None:
        assert found.texts[0].as_py() == page
    assert cut_damage_batch(found.texts).texts == found.texts, "nothing is left to cut"


def test_a_blurred_print_is_garbage_and_short_names_in_program_text_are_not() -> None:
    blurred = (
        "llo0dwsfcrs c1osc blghwsy A rnafon highwav bctvvccu fhc N0rthcr fcrrlfor ancl wcstcrn Ausfrslla "
        "rcnnsln blockcd bv fl0odwstcrs fodsy thc Vlctorls1 h1ghwsy wss cuf ncsr thc brldgc"
    )
    code = (
        "void sample_ctxt(tmp_ptr, src_ptr, dst_ptr, nxt_blk, prv_blk, cnt_lvl, bsz_seq, hdr_crc);"
    )
    found = cut_damage_batch(pa.array([blurred, code]))
    assert found.reasons.to_pylist() == ["garbage_ocr", None]
