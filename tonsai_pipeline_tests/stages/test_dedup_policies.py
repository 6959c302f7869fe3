"""Policies that are not append-stable, the second pass over boilerplate, and the planted truth of the sample."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tonsai_pipeline.dedup.greedy import CONTAMINATED
from tonsai_pipeline.recipe.dedup import (
    DecontaminateConfig,
    DedupConfig,
    EvaluationSet,
    RepetitionConfig,
)
from tonsai_pipeline.stages.deduplicate import ranking
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.runs import load_array
from tonsai_pipeline.synthetic.corpus import plan_dumps
from tonsai_pipeline.synthetic.truth import Kind
from tonsai_pipeline.text import normalize_batch_report
from tonsai_pipeline_tests.stages.dedup_house import House, by_the_rule, corpus

PROSE = (
    "The river had risen in the night and the road to the village was under water. We waited until the "
    "morning for the boat that brings the mail. When it came, there were three letters for my mother and "
    "one for me. I knew the hand at once, although I had not seen it for years. "
)
MENU = "Home\nNews\nShop\nLog in\nHelp\nJobs\nMap\n"


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def prose(seed: int) -> str:
    rng = np.random.default_rng(seed)
    words = PROSE.split()
    said = " ".join(words[i] for i in rng.integers(0, len(words), 150))
    return f"{PROSE} {said}."


def test_the_best_page_stays_whatever_its_place(house):
    clean = prose(1)
    texts = {"crawl@1": [MENU + clean, prose(2)], "books@2": [clean, prose(2)]}
    loose = {"num_bands": 42, "rows_per_band": 3}
    assert house.kept(house.deduplicate(texts, DedupConfig(**loose))) == {
        "crawl@1": [0, 1],
        "books@2": [],
    }
    best = DedupConfig(**loose, policy="best_quality")
    artifact = house.deduplicate(texts, best)
    # Of two equal texts the first of the catalog stays.
    assert house.kept(artifact) == {"crawl@1": [1], "books@2": [0]}
    rows = {row["doc_id"]: row for row in house.dropped(artifact)}
    assert rows["crawl@1/0/0"]["kept_doc_id"] == "books@2/0/0"
    assert rows["crawl@1/0/0"]["reason"] == "near"
    assert artifact.report["matrix"] == {"crawl@1": {"books@2": 1}, "books@2": {"crawl@1": 1}}


@pytest.mark.parametrize("rows_per_part", [30, 1000])
def test_ranked_decisions_are_the_rule_in_the_order_of_quality(
    house, tmp_path, monkeypatch, rows_per_part
):
    texts = corpus(11, {"a@1": 90, "b@1": 70})
    flat = [text for dump in texts.values() for text in dump]
    order = np.random.default_rng(1).permutation(len(flat))
    rank_of = np.argsort(order)
    monkeypatch.setattr(ranking, "rank", lambda quality: order[: len(quality)])
    config = DedupConfig(policy="best_quality", num_bands=32, rows_per_band=4, min_similarity=0.7)
    (expected,) = by_the_rule({"all@1": [flat[i] for i in order]}, config).values()
    kept = house.kept(house.deduplicate(texts, config, rows_per_part=rows_per_part), rows_per_part)
    flat_kept = [*kept["a@1"], *(90 + row for row in kept["b@1"])]
    assert sorted(rank_of[flat_kept].tolist()) == expected


def test_a_contaminated_page_is_dropped_however_good_it_is(house, tmp_path):
    quiz = tmp_path / "quiz.txt"
    quiz.write_text(PROSE)
    sets = (EvaluationSet(name="quiz", path=quiz),)
    config = DedupConfig(
        policy="best_quality", decontaminate=DecontaminateConfig(evaluation_sets=sets)
    )
    texts = {"a@1": ["some other page with words of its own", prose(3)], "b@1": [prose(3) + " End"]}
    artifact = house.deduplicate(texts, config)
    assert house.kept(artifact) == {"a@1": [0], "b@1": []}
    twins = load_array(house.links(artifact)["b@1"].path / "twins.npy")
    assert twins.tolist() == [CONTAMINATED]


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
    texts = {"a@1": short[:2], "b@1": [*long, *short[2:]]}
    artifact = house.deduplicate(texts, repetitive(3))
    assert house.kept(artifact) == {"a@1": [0, 1], "b@1": [0]}
    assert [row["reason"] for row in house.dropped(artifact)] == ["boilerplate"] * 3
    report = artifact.report
    assert (report["num_boilerplate"], report["num_kept"]) == (3, 3)
    assert report["by_dump"]["b@1"]["dropped_frac"] == 0.75
    assert {line["text"]: line["num_documents"] for line in report["boilerplate"]} == dict.fromkeys(
        NOTICE.splitlines(), 6
    )


def test_the_second_pass_is_the_same_for_any_parts_and_keeps_its_word_when_a_dump_comes(tmp_path):
    texts = corpus(12, {"a@1": 60, "b@1": 60, "c@1": 40})
    texts = {
        dump: [f"{text}\n{NOTICE if n % 3 else ''}" for n, text in enumerate(said)]
        for dump, said in texts.items()
    }
    small, big = House(tmp_path / "small"), House(tmp_path / "big")
    config = repetitive(8)
    expected = big.deduplicate(texts, config)
    kept = big.kept(expected)
    assert small.kept(small.deduplicate(texts, config, rows_per_part=13), 13) == kept
    assert expected.report["num_boilerplate"] > 10
    before = House(tmp_path / "before")
    shorter = {dump: texts[dump] for dump in ("a@1", "b@1")}
    assert before.kept(before.deduplicate(shorter, config)) == {d: kept[d] for d in shorter}


def test_every_document_is_kept_or_dropped_once_after_the_second_pass(house):
    texts = corpus(13, {"a@1": 80})
    texts["a@1"] = [f"{NOTICE}{text}" for text in texts["a@1"]]
    artifact = house.deduplicate(texts, repetitive(5), rows_per_part=30)
    (link,) = house.links(artifact).values()
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
    kept = {
        rows[dump][n].truth.id for dump, numbers in house.kept(artifact).items() for n in numbers
    }
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
