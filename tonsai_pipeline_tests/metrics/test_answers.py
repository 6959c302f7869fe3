"""Answers are compared on the borders of clusters, with both digit systems, whatever the spacing."""

from __future__ import annotations

import pytest

from tonsai_pipeline.metrics.answers import answer_units, contains, is_exact
from tonsai_pipeline.metrics.checks import passes

ZWSP = "\u200b"


@pytest.mark.parametrize(
    ("answer", "references"),
    [
        ("ភ្នំពេញ។", ["ភ្នំពេញ"]),
        (f"ភ្នំ{ZWSP}ពេញ", ["ភ្នំពេញ"]),
        (" ភ្នំ ពេញ !", ["ភ្នំពេញ"]),
        ("7 ថ្ងៃ", ["៧ថ្ងៃ"]),
        ("៥០០០រៀល", ["៥,០០០ រៀល"]),
        ("An Animal.", ["an animal"]),
    ],
)
def test_spacing_case_digits_and_marks_of_the_end_do_not_count(
    answer: str, references: list
) -> None:
    assert is_exact(answer, references)
    assert contains(f"ចម្លើយគឺ {answer}", references)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("១៧", "៧"),  # another number
        ("៣.៧", "៧"),
        ("កា", "ក"),  # a letter inside a cluster
        ("ស្រី", "ស"),
        ("party", "art"),
        ("", "ក"),
    ],
)
def test_a_part_of_a_cluster_word_or_number_is_no_answer(answer: str, reference: str) -> None:
    assert not contains(answer, [reference])


def test_an_empty_reference_is_never_contained() -> None:
    assert not contains("អ្វីក៏បាន", [" ។"])


def test_decimals_are_one_unit_and_thousands_have_no_comma() -> None:
    assert answer_units("12,000 និង 1.5") == ("12000", "និ", "ង", "1.5")


@pytest.mark.parametrize(
    ("answer", "check", "kept"),
    [
        ("ស្វាយ ចេក និងក្រូច", "items==2", True),
        ("១. ស្វាយ\n២. ចេក\n៣. ក្រូច", "items==3", True),
        ("ស្វាយ, ចេក និង ក្រូច។", "items==3", True),
        ("គាត់ទៅផ្សារ។ នាងទៅសាលា។", "sentences==2", True),
        ("លេខ 012 345 678", "digit_run<=5", False),
        ("លេខ ០១២ ៣៤៥ ៦៧៨", "digit_run<=5", False),
        ("ឆ្នាំ ២០២៦", "digit_run<=5", True),
        ("ខៀវ blue", "khmer_frac>=0.9", False),
        ("one", "latin_frac>=0.9", True),
        ("៥", "numbers==1", True),
    ],
)
def test_checks(answer: str, check: str, kept: bool) -> None:
    assert passes(answer, check) is kept


@pytest.mark.parametrize("check", ["items", "items=3", "colour>=1", "items>=x"])
def test_an_unknown_check_is_refused(check: str) -> None:
    with pytest.raises(ValueError, match="unknown check"):
        passes("", check)
