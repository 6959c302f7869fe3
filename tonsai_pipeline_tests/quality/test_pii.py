"""Personal data: what is counted, what is not, and what masking leaves."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.quality.pii import MASKS, PATTERNS, count_pii, mask_pii


def counts(text: str) -> dict[str, int]:
    return {
        kind: found[0].as_py()
        for kind, found in count_pii(pa.array([text])).items()
        if found[0].as_py()
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("write to sok.dara+x@mail.example.com.kh now", {"email": 1}),
        ("a@b", {}),
        ("call 012 345 678 or 097-123-4567", {"phone": 2}),
        ("+855 12 345 678", {"phone": 1}),
        ("+855-97-123-4567", {"phone": 1}),
        ("(+855) 23 880 623", {"phone": 1}),
        ("855 12 345 678", {"phone": 1}),
        ("(023) 880 623", {"phone": 1}),
        ("012345678, 0971234567", {"phone": 2}),
        ("០៩៧ ១២៣ ៤៥៦៧", {"phone": 1}),
        ("ទូរស័ព្ទ៖ ០២៣.៨៨០.៦២៣", {"phone": 1}),
        ("លេខ ០១២ ៣៤៥ ៦៧៨។", {"phone": 1}),
        ("+1 (202) 555-0147", {"phone": 1}),
        ("host 192.168.1.255 is up.", {"ip": 1}),
        ("version 1.2.3 and 300.1.1.1", {}),
        ("ID 123456789(01)", {"national_id": 1}),
        ("អត្តសញ្ញាណប័ណ្ណ ១២៣៤៥៦៧៨៩", {"national_id": 1}),
        ("123-45-6789", {"national_id": 1}),
        ("in 2019 about 1,500,000 people", {}),
        ("០១២៣", {}),
    ],
)
def test_patterns_find_what_they_name_and_nothing_else(text: str, wanted: dict[str, int]) -> None:
    assert counts(text) == wanted


def test_masked_text_holds_none_of_it_and_keeps_the_rest() -> None:
    text = "From a.b@example.org (012 345 678), host 10.0.0.1, card 123456789."
    masked = mask_pii(pa.array([text]), PATTERNS)[0].as_py()
    assert masked == "From <EMAIL> (<PHONE>), host <IP>, card <ID>."
    assert counts(masked) == {}


def test_only_what_is_asked_for_is_masked() -> None:
    assert mask_pii(pa.array(["a@b.org 10.0.0.1"]), ["ip"])[0].as_py() == f"a@b.org {MASKS['ip']}"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text("0159.-+() @a\u00a0\u17e0\u17e8\u17e5\u1780\n", max_size=40), max_size=8))
def test_no_text_that_holds_something_is_passed_over(texts: list[str]) -> None:
    said = pa.array([*texts, "8 - 1"], pa.large_string())
    found = count_pii(said)
    for kind, pattern in PATTERNS.items():
        searched = mask_pii(said, ["phone"]) if kind == "national_id" else said
        options = pc.MatchSubstringOptions(pattern)
        expected = pc.call_function("count_substring_regex", [searched], options)
        assert found[kind].to_pylist() == expected.to_pylist()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kinds of personal data: iban"):
        mask_pii(pa.array(["x"]), ["iban"])
