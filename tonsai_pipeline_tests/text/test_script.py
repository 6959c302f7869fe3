"""Script shares and languages."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.text import (
    language,
    languages_batch,
    paragraph_languages,
    paragraph_languages_batch,
    script_shares_batch,
)
from tonsai_pipeline_tests.text.samples import ENGLISH_SENTENCE, KHMER_SENTENCE, any_text

#: The opening of the Mangala Sutta and a formula, older than any copyright.
PALI = (
    "ឯវំ មេ សុតំ ។ ឯកំ សមយំ ភគវា សាវត្ថិយំ វិហរតិ ជេតវនេ អនាថបិណ្ឌិកស្ស អារាមេ ។ "
    "អថ ខោ អញ្ញតរា ទេវតា អភិក្កន្តាយ រត្តិយា យេន ភគវា តេនុបសង្កមិ ។"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KHMER_SENTENCE, "khm"),
        (ENGLISH_SENTENCE, "eng"),
        (f"{KHMER_SENTENCE} {ENGLISH_SENTENCE}", "mixed"),
        ("ចុច OK ដើម្បីបន្ត ឬ Cancel", "mixed"),
        (PALI, "other"),
        ("Le chat est dans la maison avec les enfants qui sont aux anges.", "other"),
        ("X\u00e2y d\u1ef1ng \u0111\u1ea5t n\u01b0\u1edbc gi\u00e0u m\u1ea1nh", "other"),
        ("\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22", "other"),
        ("", "other"),
        ("12.5 % (3)", "other"),
        ("Save as", "eng"),
        ("រក្សាទុក", "khm"),
    ],
)
def test_the_language_of_a_text(text: str, expected: str) -> None:
    assert language(text) == expected


def test_letters_that_khmer_lacks_tell_a_minority_language() -> None:
    # Bunong writes U+17DD; a Khmer text about that sign uses it less than Khmer words.
    bunong = "\u1780\u17dd\u1793 \u178a\u17dd\u1784\u17cb \u1780\u17dd\u1794\u17cb " * 3
    assert language(bunong) == "other"
    assert language(KHMER_SENTENCE * 2 + " \u17dd \u17dd \u17dd") == "khm"


def test_languages_agree_with_the_labels_of_real_text(
    real_records: dict[str, list[dict[str, str]]],
) -> None:
    num_labelled = num_agreed = 0
    for records in real_records.values():
        labelled = [row for row in records if row["lang"] in ("khm", "eng")]
        if labelled:
            found = languages_batch(pa.array([row["text"] for row in labelled])).to_pylist()
            num_labelled += len(labelled)
            num_agreed += sum(a == row["lang"] for a, row in zip(found, labelled, strict=True))
    assert num_labelled > 50_000
    assert num_agreed / num_labelled >= 0.99


def test_shares_count_letters_only() -> None:
    shares = script_shares_batch(pa.array(["ក១! ab", "123", None, "\u0e01k"])).to_pylist()
    assert shares[0] == {"khmer_frac": 1 / 3, "latin_frac": 2 / 3, "num_letters": 3}
    assert shares[1] == shares[2] == {"khmer_frac": 0.0, "latin_frac": 0.0, "num_letters": 0}
    assert shares[3] == {"khmer_frac": 0.0, "latin_frac": 0.5, "num_letters": 2}


@settings(max_examples=100, deadline=None)
@given(any_text)
def test_shares_are_fractions_and_languages_are_four(text: str) -> None:
    row = script_shares_batch(pa.array([text]))[0].as_py()
    assert 0 <= row["khmer_frac"] + row["latin_frac"] <= 1 + 1e-12
    assert language(text) in ("khm", "eng", "mixed", "other")


def test_a_mixed_page_is_taken_apart_by_paragraph() -> None:
    page = f"  {KHMER_SENTENCE}\r\n\n{ENGLISH_SENTENCE}  \n\t\n123"
    found = paragraph_languages(page)
    assert [page[p.start : p.end] for p in found] == [KHMER_SENTENCE, ENGLISH_SENTENCE, "123"]
    assert [p.language for p in found] == ["khm", "eng", "other"]
    assert paragraph_languages(" \n ") == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), any_text), max_size=4))
def test_paragraphs_hold_all_that_is_not_blank_and_a_batch_is_its_pages(
    pages: list[str | None],
) -> None:
    batch = paragraph_languages_batch(pa.array(pages, pa.string()))
    assert batch == [[] if page is None else paragraph_languages(page) for page in pages]
    for page, paragraphs in zip(pages, batch, strict=True):
        bodies = [(page or "")[start:end] for start, end, _ in paragraphs]
        assert [language(body) for body in bodies] == [found for *_, found in paragraphs]
        assert "".join("".join(bodies).split()) == "".join((page or "").split())


class _Model:
    """Answers as fastText does when it is asked about a list of lines."""

    def __init__(self, label: str, probability: float) -> None:
        self.label, self.probability = f"__label__{label}", probability
        self.asked: list[str] = []

    def predict(self, text: list[str], k: int = 1) -> tuple[list[list[str]], list[list[float]]]:
        assert isinstance(text, list)
        assert not any("\n" in line for line in text)
        assert k == 1
        self.asked += text
        return [[self.label]] * len(text), [[self.probability]] * len(text)


def test_a_model_that_is_sure_of_another_language_overrules() -> None:
    texts = pa.array([ENGLISH_SENTENCE + "\n", KHMER_SENTENCE, "Save", None, ""])
    by_model = {
        ("nld_Latn", 0.95): ["other", "other", "eng", None, "other"],
        ("nld_Latn", 0.5): ["eng", "khm", "eng", None, "other"],
        ("eng_Latn", 0.99): ["eng", "other", "eng", None, "other"],
    }
    for (label, probability), expected in by_model.items():
        model = _Model(label, probability)
        assert languages_batch(texts, model).to_pylist() == expected
        assert len(model.asked) == 2
