"""Legacy fonts and garbage."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tonsai_pipeline.text import GARBAGE_OCR, LEGACY_KHMER_FONT, legacy_font_batch
from tonsai_pipeline_tests.text.samples import ENGLISH_SENTENCE, KHMER_SENTENCE

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
            assert share >= 0.98
        else:
            assert share <= 0.002, name
