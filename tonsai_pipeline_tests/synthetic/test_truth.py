"""The truth can be looked up, written and read back."""

from __future__ import annotations

import pytest

from tonsai_pipeline.synthetic.truth import Kind, PlantedDocument, SyntheticTruth


def _planted(number: int, kind: Kind, **fields) -> PlantedDocument:
    return PlantedDocument(
        id=f"a-{number}", dump="a@1", file="a@1.jsonl", row=number, kind=kind, lang="khm", **fields
    )


TRUTH = SyntheticTruth(
    (
        _planted(0, Kind.GOOD),
        _planted(1, Kind.EXACT_COPY, copy_of="a-0", jaccard=1.0, raw_jaccard=1.0),
        _planted(2, Kind.NEAR_COPY, copy_of="a-0", jaccard=0.6, raw_jaccard=0.6),
        _planted(3, Kind.TINY),
    )
)


def test_documents_are_found_by_kind_id_place_and_dump():
    assert [document.id for document in TRUTH.of_kind(Kind.GOOD, "tiny")] == ["a-0", "a-3"]
    assert TRUTH.by_id("a-2").jaccard == 0.6
    assert TRUTH.at("a@1.jsonl", 1).kind is Kind.EXACT_COPY
    assert [document.row for document in TRUTH.in_dump("a@1")] == [0, 1, 2, 3]
    assert TRUTH.in_dump("b@1") == []
    assert TRUTH.counts() == {"good": 1, "exact_copy": 1, "near_copy": 1, "tiny": 1}
    assert TRUTH.dumps == ("a@1",)


def test_copies_are_grouped_by_original_above_a_likeness():
    assert TRUTH.duplicate_groups() == {"a-0": ["a-1", "a-2"]}
    assert TRUTH.duplicate_groups(min_jaccard=0.8) == {"a-0": ["a-1"]}
    assert TRUTH.original_of(TRUTH.by_id("a-2")) == TRUTH.by_id("a-0")
    assert TRUTH.original_of(TRUTH.by_id("a-3")) == TRUTH.by_id("a-3")


def test_truth_survives_a_round_trip_through_its_file(tmp_path):
    TRUTH.write(tmp_path / "truth.jsonl")
    assert SyntheticTruth.read(tmp_path / "truth.jsonl") == TRUTH


@pytest.mark.parametrize(
    "line", ["{}", "not json", '{"kind": "strange"}', '{"kind": "good", "colour": 1}']
)
def test_a_line_that_is_no_truth_is_named(tmp_path, line):
    path = tmp_path / "truth.jsonl"
    TRUTH.write(path)
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 5 is no planted document"):
        SyntheticTruth.read(path)
