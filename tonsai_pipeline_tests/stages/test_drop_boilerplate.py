"""The second pass over boilerplate, and the planted truth of the sample."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tonsai_pipeline.recipe.dedup import DedupConfig, RepetitionConfig
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.synthetic.corpus import plan_dumps
from tonsai_pipeline.synthetic.truth import Kind
from tonsai_pipeline.text import normalize_batch_report
from tonsai_pipeline_tests.stages.deduplication import House, corpus


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def page(seed: int) -> str:
    return " ".join(f"w{n}" for n in np.random.default_rng(seed).integers(0, 9999, 30))


NOTICE = (
    "all rights reserved by the owner of this most excellent site\nwrite to us at any time of day\n"
)


def repetitive(max_documents: int) -> DedupConfig:
    return DedupConfig(
        repetition=RepetitionConfig(
            enabled=True, max_documents=max_documents, max_boilerplate_frac=0.4
        )
    )


def test_pages_that_are_mostly_a_notice_go_behind_the_first_few(house):
    short = [NOTICE * 2 + page(n)[:40] for n in range(5)]
    long = [NOTICE + page(10) + page(11) + page(12)]
    texts = {"a@20260101": short[:2], "b@20260101": [*long, *short[2:]]}
    artifact = house.deduplicate(texts, repetitive(3))
    assert artifact.kept() == {"a@20260101": [0, 1], "b@20260101": [0]}
    assert [row["reason"] for row in artifact.dropped()] == ["boilerplate"] * 3
    report = artifact.boilerplate()
    assert (report["num_boilerplate"], report["num_kept"]) == (3, 3)
    assert report["by_dump"]["b@20260101"]["dropped_frac"] == 0.75
    assert {line["text"]: line["num_documents"] for line in report["lines"]} == dict.fromkeys(
        NOTICE.splitlines(), 6
    )


def test_the_second_pass_is_the_same_for_any_parts_and_keeps_its_word_when_a_dump_comes(tmp_path):
    texts = corpus(12, {"a@20260101": 60, "b@20260101": 60, "c@20260101": 40})
    texts = {
        dump: [f"{text}\n{NOTICE if n % 3 else ''}" for n, text in enumerate(said)]
        for dump, said in texts.items()
    }
    small, big = House(tmp_path / "small"), House(tmp_path / "big")
    config = repetitive(8)
    expected = big.deduplicate(texts, config)
    kept = expected.kept()
    assert small.deduplicate(texts, config, rows_per_part=13).kept(13) == kept
    assert expected.boilerplate()["num_boilerplate"] > 10
    before = House(tmp_path / "before")
    shorter = {dump: texts[dump] for dump in ("a@20260101", "b@20260101")}
    assert before.deduplicate(shorter, config).kept() == {d: kept[d] for d in shorter}


def test_every_document_is_kept_or_dropped_once_after_the_second_pass(house):
    texts = corpus(13, {"a@20260101": 80})
    texts["a@20260101"] = [f"{NOTICE}{text}" for text in texts["a@20260101"]]
    artifact = house.deduplicate(texts, repetitive(5), rows_per_part=30)
    (link,) = artifact.links().values()
    for path in link.parts():
        kept = read_part(path, ["row_in_part"]).column(0).to_pylist()
        gone = read_part(link.path / "dropped" / path.name, ["row_in_part"]).column(0).to_pylist()
        assert gone == sorted(gone)
        assert sorted([*kept, *gone]) == list(
            range(30 if path.name != "part-00000-00002.parquet" else 20)
        )


def test_every_planted_copy_of_the_sample_is_found(house):
    dumps = plan_dumps(seed=5, scale=0.1)
    unreadable = (Kind.BROKEN_ROW, Kind.NOT_AN_ARTICLE)
    rows = {
        dump.name: [row for row in dump.rows if row.truth.kind not in unreadable] for dump in dumps
    }
    texts = {
        name: normalize_batch_report(pa.array([row.text for row in planned], pa.large_string()))[0]
        for name, planned in sorted(rows.items(), key=lambda item: item[0].split("@")[1])
    }
    artifact = house.deduplicate({name: text.to_pylist() for name, text in texts.items()})
    kept = {rows[dump][n].truth.id for dump, numbers in artifact.kept().items() for n in numbers}
    truths = [row.truth for planned in rows.values() for row in planned]
    copies = [t for t in truths if t.kind in (Kind.EXACT_COPY, Kind.WRONG_ENCODING)]
    assert len(copies) >= 6
    assert not [t.id for t in copies if {t.id, t.copy_of} <= kept]
    near = [t for t in truths if t.kind == Kind.NEAR_COPY]
    # A pair just above the limit may miss every band, one in seventy does; from 0.9 on none does.
    assert not [t.id for t in near if t.jaccard >= 0.9 and {t.id, t.copy_of} <= kept]
    assert not [t.id for t in near if t.jaccard < 0.75 and not {t.id, t.copy_of} <= kept]
    groups = {t.copy_of for t in truths if t.copy_of} | {t.id for t in truths if t.copy_of}
    # A template may say the same twice by chance, but no page that says something of its own goes.
    lost = [t for t in truths if t.kind == Kind.GOOD and t.id not in kept | groups]
    assert lost == []
