"""minhash_signatures of every dump -> keep-lists, against the rule computed the slow way."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tonsai_pipeline.dedup.shingles import shingle
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.recipe.dedup import (
    DecontaminateConfig,
    DedupConfig,
    EvaluationSet,
    RepetitionConfig,
)
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.stages.deduplicate import join as join_module
from tonsai_pipeline.stages.deduplicate.corpus import place_all
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.text.dedup_key import dedup_key
from tonsai_pipeline_tests.stages.corpora import normalized_dump, signed_corpus
from tonsai_pipeline_tests.stages.deduplication import House, by_the_rule, corpus, jaccard


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_stays_is_what_the_rule_says(house, seed):
    texts = corpus(seed, {"a@20260101": 150, "b@20260102": 90, "a@20260108": 120})
    config = DedupConfig(num_bands=32, rows_per_band=4, min_similarity=0.7)
    artifact = house.deduplicate(texts, config, rows_per_part=40)
    expected = by_the_rule(texts, config)
    assert artifact.kept(rows_per_part=40) == expected
    report = artifact.report
    assert report["num_kept"] == sum(len(rows) for rows in expected.values())
    assert report["num_exact"] > 20
    assert report["num_near"] > 20
    assert (
        report["num_documents"]
        == 360
        == report["num_kept"] + report["num_exact"] + report["num_near"]
    )


def test_every_dropped_document_names_a_kept_twin_and_its_similarity(house):
    texts = corpus(3, {"a@20260101": 120, "b@20260101": 120})
    artifact = house.deduplicate(texts, rows_per_part=50)
    kept = artifact.kept(rows_per_part=50)
    rows = artifact.dropped()
    assert len(rows) == artifact.report["num_exact"] + artifact.report["num_near"]
    for row in rows:
        dump, _, place = row["kept_doc_id"].rpartition("/0/")
        part = int(row["kept_part"].split("-")[2].split(".")[0])
        assert (dump, int(place)) == (row["kept_dump"], part * 50 + row["kept_row_in_part"])
        assert int(place) in kept[dump]
        own_dump, _, own = row["doc_id"].rpartition("/0/")
        mine, kept_duplicate = (
            dedup_key(texts[own_dump][int(own)]),
            dedup_key(texts[dump][int(place)]),
        )
        sets = [set(shingle(pa.array([key])).hashes.tolist()) for key in (mine, kept_duplicate)]
        assert row["similarity"] == pytest.approx(jaccard(*sets), abs=1e-6)
        assert (row["reason"] == "exact") == (mine == kept_duplicate)


def test_group_sizes_add_up_to_the_corpus(house):
    texts = corpus(4, {"a@20260101": 100, "b@20260101": 100, "c@20260101": 50})
    artifact = house.deduplicate(texts)
    groups = read_part(artifact.path / "groups.parquet").to_pylist()
    assert sum(row["group_size"] - 1 for row in groups) == len(artifact.dropped())
    dumps_of: dict[str, set[str]] = {}
    for row in artifact.dropped():
        dumps = dumps_of.setdefault(row["kept_doc_id"], {row["kept_dump"]})
        dumps.add(row["doc_id"].split("/")[0])
    assert {row["doc_id"]: row["num_dumps"] for row in groups} == {
        doc: len(dumps) for doc, dumps in dumps_of.items()
    }
    largest = artifact.report["largest_groups"][0]
    assert largest["group_size"] == max(row["group_size"] for row in groups)


def test_part_sizes_ranges_and_workers_change_nothing(tmp_path, monkeypatch):
    texts = corpus(5, {"a@20260101": 130, "b@20260101": 70})
    small = House(tmp_path / "small")
    expected = small.deduplicate(texts, rows_per_part=17).kept(rows_per_part=17)
    kept_duplicates = sorted(
        (row["doc_id"], row["kept_doc_id"])
        for row in small.deduplicate(texts, rows_per_part=17).dropped()
    )
    monkeypatch.setattr(join_module, "ENTRIES_PER_JOIN", 400)
    big = House(tmp_path / "big", num_workers=2)
    artifact = big.deduplicate(texts)
    assert artifact.kept() == expected
    assert (
        sorted((row["doc_id"], row["kept_doc_id"]) for row in artifact.dropped()) == kept_duplicates
    )
    big.engine.close()


# A failure says its seed; to shrink it would run the stage some hundred times.
@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, 50), min_size=2, max_size=4),
    st.integers(7, 60),
    st.integers(7, 60),
)
def test_what_follows_and_how_it_is_cut_decide_nothing(seed, sizes, rows_per_part, other_rows):
    texts = corpus(seed, {f"d{number}@20260101": size for number, size in enumerate(sizes)})
    flat = [text for dump in texts.values() for text in dump]
    starts = dict(zip(texts, itertools.accumulate([0, *sizes]), strict=False))

    def kept(dumps: Mapping[str, Sequence[str]], rows_per_part: int) -> dict[str, list[int]]:
        with tempfile.TemporaryDirectory() as folder:
            house = House(Path(folder))
            artifact = house.deduplicate(dumps, rows_per_part=rows_per_part)
            return artifact.kept(rows_per_part)

    whole = kept(texts, rows_per_part)
    *first, last = texts
    assert kept({dump: texts[dump] for dump in first}, other_rows) == {
        dump: rows for dump, rows in whole.items() if dump != last
    }
    (in_one_dump,) = kept({"all@20260101": flat}, other_rows).values()
    assert in_one_dump == [starts[dump] + row for dump, rows in whole.items() for row in rows]


def test_an_appended_dump_changes_no_decision_and_costs_only_its_own_link(house):
    texts = corpus(6, {"a@20260101": 80, "b@20260101": 80, "c@20260101": 60})
    first_two = {dump: texts[dump] for dump in ("a@20260101", "b@20260101")}
    before = house.deduplicate(first_two)
    links = before.links()
    after = house.deduplicate(texts)
    assert {dump: links[dump].path for dump in first_two} == {
        dump: after.links()[dump].path for dump in first_two
    }
    assert after.kept()["a@20260101"] == before.kept()["a@20260101"]
    assert len(_link_folders(house)) == 3


def test_a_changed_dump_makes_the_links_from_there_on_and_a_reverted_one_none(house):
    texts = corpus(7, {"a@20260101": 60, "b@20260101": 60, "c@20260101": 60})
    before = house.deduplicate(texts)
    changed = {
        **texts,
        "b@20260101": [*texts["b@20260101"][1:], "a new document in the second dump"],
    }
    house.deduplicate(changed)
    folders = _link_folders(house)
    assert sorted(path.parent.name for path in folders) == [
        "a@20260101",
        "b@20260101",
        "b@20260101",
        "c@20260101",
        "c@20260101",
    ]
    reverted = house.deduplicate(texts)
    assert reverted.artifact.cached
    assert reverted.data_version == before.data_version
    assert _link_folders(house) == folders


def _link_folders(house: House) -> set[Path]:
    return set((house.store.layout.root / "artifacts" / "dedup_decisions").glob("*/*"))


def test_the_preferred_source_stays_whatever_its_date(house):
    text = " ".join(f"word{number}" for number in range(50))
    texts = {"crawl@20260101": [text, "only in the crawl"], "wiki@20260102": [text + " End"]}
    assert house.deduplicate(texts).kept() == {"crawl@20260101": [0, 1], "wiki@20260102": []}
    config = DedupConfig(policy="prefer_source", prefer_sources=("wiki",))
    assert house.deduplicate(texts, config).kept() == {"crawl@20260101": [1], "wiki@20260102": [0]}


def test_switched_off_it_keeps_every_document(house):
    texts = {"a@20260101": ["the same text"] * 3, "b@20260101": ["the same text"]}
    artifact = house.deduplicate(texts, DedupConfig(enabled=False))
    assert artifact.kept() == {"a@20260101": [0, 1, 2], "b@20260101": [0]}
    assert artifact.report["by_dump"]["a@20260101"]["dropped_frac"] == 0


def test_containment_drops_an_excerpt(house):
    text = " ".join(f"word{number}" for number in range(80))
    excerpt = " ".join(text.split()[:60])
    texts = {"a@20260101": [text, excerpt]}
    loose: dict[str, Any] = {"num_bands": 64, "rows_per_band": 2}
    assert house.deduplicate(texts, DedupConfig(**loose)).kept() == {"a@20260101": [0, 1]}
    config = DedupConfig(**loose, measure="containment")
    assert house.deduplicate(texts, config).kept() == {"a@20260101": [0]}


def test_guards_name_the_source_and_the_group(house):
    page = " ".join(f"menu{number}" for number in range(40))
    texts = {
        "spam@20260101": [page] * 150,
        "good@20260101": [f"a fine document, number {n}" for n in range(50)],
    }
    report = house.deduplicate(texts, DedupConfig(max_dropped_frac=0.5)).report
    assert len(report["violations"]) == 2
    assert "source 'spam' loses 99.3%" in report["violations"][0]
    assert "spam@20260101/0/0" in report["violations"][1]
    assert "150 members" in report["violations"][1]
    calm = house.deduplicate(
        {"good@20260101": texts["good@20260101"], "good@20260102": texts["good@20260101"]}
    ).report
    assert calm["num_exact"] == 50
    assert calm["violations"] == []


def test_empty_dumps_and_empty_texts_are_no_trouble(house):
    texts = {
        "a@20260101": ["", "!!!", "text"],
        "b@20260101": [],
        "c@20260101": ["", "text", "more text here"],
    }
    artifact = house.deduplicate(texts)
    assert artifact.kept() == {"a@20260101": [0, 2], "b@20260101": [], "c@20260101": [2]}
    assert artifact.report["matrix"] == {
        "a@20260101": {"a@20260101": 1},
        "b@20260101": {},
        "c@20260101": {"a@20260101": 2},
    }


def test_signatures_of_other_parts_are_refused(house):
    texts = corpus(8, {"a@20260101": 30})
    signed, _ = signed_corpus(house.store, texts, house.engine, rows_per_part=10)
    key = DumpKey("a@20260101")
    other = normalized_dump(house.store, key, texts[key], house.engine, rows_per_part=15)
    with pytest.raises(DataError, match="materialize minhash_signatures again"):
        place_all({key: other}, signed, {}, {})


#: Steps in their order, and which of their parts the process does not survive.
_DEATHS = {"sign": 2, "index": 2, "exact copies": 1, "candidates": 1, "round-0: pairs": 1}
_DEATHS |= {"round-0: shingles": 2, "round-0: verify": 1, "keep-lists": 2}
#: The same with every optional step.
_MORE_DEATHS = {"decontaminate": 2, "candidates": 1, "round-0: verify": 1}
_MORE_DEATHS |= {"keep-lists": 2, "lines": 1, "count lines": 1, "boilerplate": 2}


def every_step(folder: Path) -> DedupConfig:
    """Return settings that switch on whatever can be switched on."""
    quiz = folder / "quiz.txt"
    quiz.write_text("seven of these words are asked of whoever reads them once\n")
    sets = (EvaluationSet(name="quiz", path=quiz),)
    return DedupConfig(
        repetition=RepetitionConfig(enabled=True, max_documents=3, max_boilerplate_frac=0.1),
        decontaminate=DecontaminateConfig(evaluation_sets=sets),
    )


@pytest.mark.parametrize("is_everything", [False, True])
def test_killed_in_every_step_and_run_again_is_the_same_bytes(tmp_path, is_everything):
    texts = corpus(9, {"a@20260101": 60, "b@20260101": 60})
    config = every_step(tmp_path) if is_everything else DedupConfig()
    calm = House(tmp_path / "calm")
    expected = calm.deduplicate(texts, config, rows_per_part=20)
    deaths = _MORE_DEATHS if is_everything else _DEATHS
    for label, count in deaths.items():
        assert _run_and_die(tmp_path / "killed", config, label, count) == -signal.SIGKILL, label
    again = House(tmp_path / "killed")
    artifact = again.deduplicate(texts, config, rows_per_part=20)
    assert artifact.data_version == expected.data_version
    for dump, link in expected.links().items():
        assert artifact.links()[dump].data_version == link.data_version


def _run_and_die(root: Path, config: DedupConfig, label: str, count: int) -> int | None:
    """Run in a process of its own, a fork of this one, that kills itself in the step `label`."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=die_in, args=(root, config, label, count))
    process.start()
    process.join(timeout=120)
    return process.exitcode


def die_in(root: Path, config: DedupConfig, label: str, count: int) -> None:
    """See `_run_and_die`; called in the other process."""
    from tonsai_pipeline.engine import parts

    original, seen = parts._run_part, []

    def run_part(call):
        if call.label == label:
            seen.append(call)
            if len(seen) == count:
                # The worst moment: its files are there, its mark is not.
                call.function(call.part.payload, call.folder)
                os.kill(os.getpid(), signal.SIGKILL)
        return original(call)

    parts._run_part = run_part
    House(root).deduplicate(
        corpus(9, {"a@20260101": 60, "b@20260101": 60}), config, rows_per_part=20
    ).links()
