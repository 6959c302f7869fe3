"""What a person may change between two builds, and an ingest beside a build: the result is that of a fresh build.

Each test of the first half is a way in which the cache once gave a result of other settings or other text.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.errors import DumpError, ManifestError
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.dumps import identity
from tonsai_pipeline_tests.lineage.worlds import (
    CORPUS_ASSETS,
    DUMP_ASSETS,
    World,
    bring_up_to_date,
    build_corpus,
    versions_of,
)
from tonsai_pipeline_tests.quality.pages import english_prose

NEWS, WEB = DumpKey("eng_news@00000000"), DumpKey("eng_web@00000000")
#: What is made from the kept documents on.
FROM_SCORES = {
    "scored_documents_of_dump",
    "scored_documents",
    "mixture_rules",
    "mixture_documents",
    "training_mixture",
    "chosen_documents",
    "tokenizer",
    "encoder",
    "tokenized_documents_of_dump",
    "tokenized_documents",
    "packed_shards",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A corpus that is built once; every test gets a copy."""
    world = World(tmp_path_factory.mktemp("world"), LocalEngine(1))
    world.fill()
    world.build()
    return world


@pytest.fixture
def world(built: World, tmp_path: Path, engine: Engine) -> World:
    shutil.copytree(built.folder, tmp_path, dirs_exist_ok=True)
    return World(tmp_path, engine)


def change_a_word(path: Path, by: str = "temple") -> None:
    """Replace one word of one document in place by another of the same length."""
    text = path.read_text("utf-8")
    path.write_text(text.replace("school", by, 1), "utf-8")


def test_an_unchanged_corpus_is_found_whatever_folder_it_lies_in(
    world: World, built: World
) -> None:
    assert world.build() == set()
    assert world.versions() == built.versions()
    assert len(world.versions()) == 3 * len(DUMP_ASSETS) + len(CORPUS_ASSETS)


def test_other_contents_of_a_word_list_score_again(world: World) -> None:
    before = world.versions()
    world.words("with")
    assert world.build() == FROM_SCORES
    report = world.builder().build("scored_documents").report
    assert report["dropped_by_reason"]["listed_words"] > 5
    assert world.versions() == world.fresh_versions() != before


def test_a_word_list_that_only_moved_makes_nothing_again(world: World) -> None:
    words = world.folder / "data" / "words.txt"
    words.rename(words.with_name("moved.txt"))
    world.sections["quality"]["word_lists"]["eng"] = "moved.txt"
    assert world.build() == set()


def test_another_language_of_a_source_scores_again_and_poisons_nobody(world: World) -> None:
    before = world.versions()
    world.langs["eng_web"] = "khm"
    made = world.build()
    assert {"scored_documents_of_dump", "packed_shards"} <= made
    assert not made & {"raw_documents", "normalized_documents", "minhash_signatures"}
    by_source = world.builder().build("scored_documents").report["by_source"]
    assert by_source["eng_web"]["dropped_by_reason"] == {"wrong_language": 24}
    assert world.versions() == world.fresh_versions()
    other = World(world.folder, world.engine, name="other")
    assert other.build() == set()
    assert other.versions() == before


@pytest.mark.parametrize("is_time_restored", [False, True])
def test_one_word_replaced_in_place_reaches_the_shards(
    world: World, is_time_restored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Hashes of files that were written just now are never remembered.
    in_a_minute = time.time() + 60
    monkeypatch.setattr(identity.time, "time", lambda: in_a_minute)
    before = world.versions()
    path = world.folder / "data" / "eng_news" / "b.jsonl"
    stat = path.stat()
    change_a_word(path)
    if is_time_restored:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    made = world.build()
    assert {"raw_documents", "tokenizer", "tokenized_documents", "packed_shards"} <= made
    after = world.versions()
    assert after == world.fresh_versions()
    assert after["packed_shards", None] != before["packed_shards", None]
    untouched = [one for one in after if one[1] not in (NEWS, None)]
    assert len(untouched) == 2 * len(DUMP_ASSETS)
    assert all(after[one] == before[one] for one in untouched)


def test_a_dump_replaced_between_mixture_and_packing_is_not_mixed_into_the_old_state(
    world: World,
) -> None:
    before = world.versions()
    path = world.folder / "data" / "eng_news" / "b.jsonl"
    old = path.read_text("utf-8")
    path.write_text(old.replace("school", "temple"), "utf-8")
    changed = world.fresh_versions()
    running = world.builder()
    for name in CORPUS_ASSETS[: CORPUS_ASSETS.index("tokenizer")]:
        bring_up_to_date(running, name)
    path.write_text("".join(reversed(old.splitlines(keepends=True))), "utf-8")
    ingesting = world.builder()
    for name in DUMP_ASSETS:
        ingesting.build(name, NEWS)
    build_corpus(running, ("tokenizer", "tokenized_documents", "packed_shards"))
    assert versions_of(running) == changed
    # The running build's pointers say nothing about the new text, and the new state is not made yet.
    assert ingesting.find("packed_shards") is None
    with pytest.raises(
        ManifestError, match=r"packed_shards: not made yet|training_mixture: not made"
    ):
        world.builder().build("packed_shards")
    bring_up_to_date(ingesting)
    assert world.versions() == world.fresh_versions()
    # Put back: what was made of the first state is found, and it is what it was.
    path.write_text(old, "utf-8")
    assert world.build() == set()
    assert world.versions() == before


def test_a_dump_replaced_while_the_build_still_has_to_read_it_stops_the_build(world: World) -> None:
    path = world.folder / "data" / "eng_news" / "b.jsonl"
    change_a_word(path)
    running = world.builder()
    change_a_word(path, by="bridge")
    with pytest.raises(DumpError, match=r"eng_news@00000000: its files are not those .* catalog"):
        running.build("scored_documents_of_dump", NEWS)
    assert world.build() >= {"raw_documents", "packed_shards"}
    assert world.versions() == world.fresh_versions()


def test_a_dump_written_to_while_it_is_read_is_not_published(world: World) -> None:
    path = world.folder / "data" / "eng_news" / "b.jsonl"
    change_a_word(path)
    builder = world.builder()

    def somebody_writes() -> Engine:
        change_a_word(path, by="bridge")
        return world.engine

    builder._engine = somebody_writes
    with pytest.raises(DumpError, match=r"eng_news@00000000: its files changed while they were"):
        builder.build("raw_documents", NEWS)
    assert builder.find("raw_documents", NEWS) is None
    world.build()
    assert world.versions() == world.fresh_versions()


def test_corpus_assets_alone_make_stale_dumps_anew(world: World) -> None:
    world.sections["normalize"] = {"coeng_da": "preserve"}
    builder = world.builder()
    assert builder.find("normalized_documents", NEWS) is None
    assert builder.find("scored_documents") is None
    num_made = len(world.store.made)
    build_corpus(builder, CORPUS_ASSETS)
    made = {one[0] for one in world.store.made[num_made:]}
    assert {"normalized_documents", "minhash_signatures"} <= made
    assert "raw_documents" not in made
    assert world.versions() == world.fresh_versions()
    tokenizer = Tokenizer.from_file(str(builder.build("tokenizer").path / "tokenizer.json"))
    assert tokenizer.decode(tokenizer.encode("កណ្ដាល").ids) == "កណ្ដាល"


def test_masked_personal_data_changes_what_reads_text_through_the_mixture(world: World) -> None:
    before = PIPELINE.code_version("training_mixture", world.recipe)
    world.sections["quality"]["mask"] = ["email"]
    assert PIPELINE.code_version("training_mixture", world.recipe) != before
    made = world.build()
    assert {"mixture_documents", "tokenizer"} <= made
    assert not made & {"scored_documents_of_dump", "normalized_documents"}
    assert world.versions() == world.fresh_versions()


def test_a_file_before_the_others_changes_no_documents_id_and_no_documents_side(
    world: World,
) -> None:
    before, sides = ids_of(world), world.sides()
    assert len(set(sides.values())) == 2
    world.write("eng_news", "a.jsonl", [english_prose(8, 9000 + n) for n in range(6)])
    assert {"raw_documents", "packed_shards"} <= world.build()
    after = ids_of(world)
    assert before.items() <= after.items()
    assert len(after) == len(before) + 6
    assert sides.items() <= world.sides().items()
    assert world.versions() == world.fresh_versions()


def test_a_text_stays_on_its_side_in_another_file_of_another_source(world: World) -> None:
    sides = world.sides()
    path = world.folder / "data" / "eng_web" / "b.jsonl"
    moved = path.read_text("utf-8")
    path.write_text(moved.splitlines(keepends=True)[0], "utf-8")
    rest = "".join(moved.splitlines(keepends=True)[1:])
    (world.folder / "data" / "eng_news" / "zz.jsonl").write_text(rest, "utf-8")
    world.build()
    assert world.sides() == sides


def ids_of(world: World) -> dict[str, str]:
    """Return the text of every raw document by its id."""
    builder = world.builder()
    rows = [
        row
        for dump in builder.dumps.versions
        for part in builder.build("raw_documents", dump).parts()
        for row in read_part(part).to_pylist()
    ]
    assert len({row["doc_id"] for row in rows}) == len(rows)
    return {row["doc_id"]: row["text"] for row in rows}


def test_two_recipes_in_one_folder_do_not_see_each_other(world: World) -> None:
    other = World(world.folder, world.engine, name="other")
    other.sections["packing"]["seq_len"] = 128
    other.sections["quality"]["word_lists"] = {}
    before = world.versions()
    # What is the same work is shared; what is another recipe's work is made beside it.
    made = other.build()
    assert {"scored_documents_of_dump", "packed_shards"} <= made
    assert not made & {"raw_documents", "kept_documents"}
    inbox = other.store.layout.inbox / f"{WEB.source}@20270101.jsonl"
    inbox.parent.mkdir(parents=True)
    inbox.write_text(json.dumps({"text": english_prose(8, 77)}), "utf-8")
    assert len(other.builder().dumps.versions) == 4
    other.build()
    assert len(world.builder().dumps.versions) == 3
    assert world.build() == set()
    assert world.versions() == before
    pointers = world.store.layout.root / "current"
    assert not {*pointers.glob("edits/raw_documents/*20270101*")}
    assert [*pointers.glob("other/raw_documents/*20270101*")]


@pytest.mark.slow
def test_any_sequence_of_edits_and_killed_builds_ends_in_the_bytes_of_a_fresh_build(
    world: World,
) -> None:
    rng = np.random.default_rng(7)
    edits = [
        lambda: change_a_word(world.folder / "data" / "eng_news" / "b.jsonl", by="bridge"),
        lambda: world.words("with"),
        lambda: world.words("nowhere"),
        lambda: world.langs.update(eng_web="khm"),
        lambda: world.langs.update(eng_web="eng"),
        lambda: world.write("eng_web", "c.jsonl", [english_prose(8, n) for n in range(5)]),
        lambda: world.sections.update(normalize={"coeng_da": "preserve"}),
        lambda: world.sections.update(normalize={"coeng_da": "fold"}),
        lambda: world.sections["packing"].update(seq_len=128),
        lambda: world.sections["mixture"].update(seed=1),
        lambda: world.sections["quality"].update(mask=["phone"]),
        lambda: (world.folder / "data" / "eng_web" / "c.jsonl").unlink(missing_ok=True),
    ]
    num_killed = 0
    for number in rng.permutation(len(edits)):
        edits[number]()
        builder = world.builder()
        opened = iter(range(int(rng.integers(1, 12))))

        def killed_after_some(opened: Iterator[int] = opened) -> Engine:
            if next(opened, None) is None:
                raise KeyboardInterrupt
            return world.engine

        builder._engine = killed_after_some
        try:
            bring_up_to_date(builder)
        except KeyboardInterrupt:
            num_killed += 1
    assert num_killed > 3
    world.build()
    assert world.versions() == world.fresh_versions()
