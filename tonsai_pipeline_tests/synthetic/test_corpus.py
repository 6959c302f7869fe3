"""The plan of the sample: what it says about every row is so."""

from __future__ import annotations

from collections import Counter

import pheasa
import pytest

from tonsai_pipeline.synthetic.corpus import NEAR_JACCARDS, PlannedDump, plan_dumps
from tonsai_pipeline.synthetic.likeness import jaccard
from tonsai_pipeline.synthetic.truth import Kind

MEGABYTE = 1_000_000


def _rows(plan: list[PlannedDump]):
    return [row for dump in plan for row in dump.rows]


def test_the_full_corpus_is_a_few_megabytes_of_both_languages(full_plan):
    num_bytes = Counter()
    for row in _rows(full_plan):
        num_bytes[row.truth.lang] += len(row.text.encode())
    assert 3 * MEGABYTE < sum(num_bytes.values()) < 5 * MEGABYTE
    assert num_bytes["khm"] > 2 * MEGABYTE
    assert num_bytes["eng"] > 0.8 * MEGABYTE


def test_ids_are_unique_and_rows_are_numbered_in_order(full_plan):
    ids = [row.truth.id for row in _rows(full_plan)]
    assert len(set(ids)) == len(ids)
    for dump in full_plan:
        first = dump.rows[0].truth.row
        assert [row.truth.row for row in dump.rows] == list(range(first, first + len(dump.rows)))


def test_originals_are_all_different(full_plan):
    good = [row.text for row in _rows(full_plan) if row.truth.kind is Kind.GOOD]
    assert len(set(good)) == len(good)


def test_every_copy_is_what_the_truth_says(full_plan):
    by_id = {row.truth.id: row for row in _rows(full_plan)}
    copies = [row for row in by_id.values() if row.truth.copy_of]
    assert len(copies) > 150
    for row in copies:
        original = by_id[row.truth.copy_of]
        assert original.truth.kind is Kind.GOOD
        assert row.truth.topic == original.truth.topic
        if row.truth.kind is Kind.EXACT_COPY:
            assert row.text == original.text
        elif row.truth.kind is Kind.NEAR_COPY:
            assert row.text != original.text
            assert row.truth.jaccard == jaccard(row.text, original.text)
        else:
            assert row.truth.kind is Kind.WRONG_ENCODING
            assert row.text != original.text
            assert pheasa.normalize(row.text, zwsp="strip") == original.text
            assert (
                row.truth.raw_jaccard
                == jaccard(row.text, original.text)
                <= row.truth.jaccard
                == 1.0
            )


def test_near_copies_lie_on_both_sides_of_every_usual_threshold(full_plan):
    likenesses = [row.truth.jaccard for row in _rows(full_plan) if row.truth.kind is Kind.NEAR_COPY]
    for target in NEAR_JACCARDS:
        assert sum(abs(likeness - target) < 0.03 for likeness in likenesses) >= 5
    originals = [row.truth.copy_of for row in _rows(full_plan) if row.truth.kind is Kind.NEAR_COPY]
    assert len(originals) > len(set(originals)) * 0.9


def test_a_second_dump_of_a_source_repeats_documents_of_the_first_under_the_same_url(full_plan):
    by_id = {row.truth.id: row.truth for row in _rows(full_plan)}
    second = next(dump for dump in full_plan if dump.name == "khm_web@20261001")
    repeated = [row.truth for row in second.rows if row.truth.kind is Kind.EXACT_COPY]
    assert len(repeated) > 20
    assert all(truth.url == by_id[truth.copy_of].url for truth in repeated)


@pytest.mark.parametrize("scale", [0.01, 0.05])
def test_however_small_the_sample_every_kind_is_planted(scale):
    kinds = [row.truth.kind for row in _rows(plan_dumps(0, scale))]
    # Truncation happens when the dump is written.
    assert {kind for kind in Kind if kinds.count(kind) < 3} == {Kind.TRUNCATED}


def test_another_seed_writes_other_documents_of_the_same_kinds():
    first, second = plan_dumps(0, 0.02), plan_dumps(1, 0.02)
    assert {row.text for row in _rows(first)} & {row.text for row in _rows(second)} <= {""}
    assert [len(dump.rows) for dump in first] == [len(dump.rows) for dump in second]


@pytest.mark.parametrize("scale", [0, -1, float("nan")])
def test_a_scale_that_is_not_positive_is_an_error(scale):
    with pytest.raises(ValueError, match="scale must be positive"):
        plan_dumps(0, scale)
