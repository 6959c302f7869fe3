from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.catalog.attempts import Attempts
from tonsai_pipeline.catalog.catalog import (
    Catalog,
    add_dump,
    find_dumps,
    read_catalog,
    remove_dump,
)
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.errors import DumpError, RecipeError
from tonsai_pipeline.recipe import Recipe, parse_recipe
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store

LATER = 4e9


@pytest.fixture
def layout(store: Store) -> Layout:
    store.layout.inbox.mkdir(parents=True)
    return store.layout


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write(tmp_path / "data" / "km" / "a.jsonl")
    write(tmp_path / "data" / "km" / "b.jsonl", "other")
    write(tmp_path / "data" / "en.jsonl")
    return tmp_path / "data"


def write(path: Path, text: str = '{"text": "x"}\n') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def recipe(*sources: dict[str, Any]) -> Recipe:
    default = ({"name": "wiki", "lang": "khm"}, {"name": "web", "lang": "eng"})
    described = [{"lang": "khm", **source} for source in sources or default]
    return parse_recipe({"name": "test", "sources": described}, where="test.yaml")


def test_dumps_come_by_date_and_then_in_the_order_of_the_sources(
    layout: Layout, data: Path
) -> None:
    described = recipe(
        {"name": "wiki", "path": "km", "date": "20260301"},
        {"name": "web", "path": "en.jsonl", "date": "20260301"},
        {"name": "abc"},
    )
    for name in ("web@20260101.jsonl", "abc@20260301.jsonl.gz", "wiki@20260401.txt"):
        write(layout.inbox / name)
    write(layout.inbox / "abc" / "20260201" / "one.jsonl")
    write(layout.inbox / "abc" / "20260201" / "deep" / "two.txt")
    found = find_dumps(described, layout, data)
    assert [dump.key for dump in found.dumps] == [
        "web@20260101",
        "abc@20260201",
        "wiki@20260301",
        "web@20260301",
        "abc@20260301",
        "wiki@20260401",
    ]
    assert found["abc@20260201"].names == ("abc/20260201/deep/two.txt", "abc/20260201/one.jsonl")
    assert found["wiki@20260301"].files == (str(data / "km/a.jsonl"), str(data / "km/b.jsonl"))
    assert found.problems == ()
    assert all(re.fullmatch(r"[a-z0-9._@-]+", dump.key) for dump in found.dumps)


def test_several_places_make_one_dump_and_no_file_comes_twice(layout: Layout, data: Path) -> None:
    described = recipe({"name": "wiki", "path": ["km/*.jsonl", "km/a.jsonl"], "date": "20260301"})
    write(layout.inbox / "wiki@20260301.jsonl")
    [dump] = find_dumps(described, layout, data).dumps
    assert dump.names == ("km/a.jsonl", "km/b.jsonl", "wiki@20260301.jsonl")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("wkii@20260101.jsonl", "recipe 'test' has no source 'wkii'; did you mean 'wiki'?"),
        ("wiki-20260101.jsonl", "name it <source>@<YYYYMMDD>.<extension>"),
        ("wiki@2026-01-01.jsonl", "name it <source>@<YYYYMMDD>.<extension>"),
        ("wiki@20260101.xyz", "unknown file format"),
        ("wkii/20260101/a.jsonl", "has no source 'wkii'; did you mean 'wiki'?"),
        ("wiki/a.jsonl", "put it into a folder named by its date, wiki/<YYYYMMDD>/"),
        ("wiki/20260101/a.xyz", "unknown file format"),
    ],
)
def test_what_cannot_be_understood_in_the_inbox_is_reported(
    layout: Layout, data: Path, name: str, problem: str
) -> None:
    write(layout.inbox / name)
    found = find_dumps(recipe(), layout, data)
    assert found.dumps == ()
    assert len(found.problems) == 1
    assert problem in found.problems[0]
    assert Path(name).name in found.problems[0] or "wkii" in found.problems[0]


@pytest.mark.parametrize("name", [".wiki@20260101.jsonl", "wiki@20260101.jsonl.part", ".git/x"])
def test_half_copied_and_hidden_files_are_nobodys_dump_yet(
    layout: Layout, data: Path, name: str
) -> None:
    write(layout.inbox / name)
    assert find_dumps(recipe(), layout, data) == Catalog(())


def test_a_path_that_leads_nowhere_names_source_path_folder_and_way_out(
    layout: Layout, data: Path
) -> None:
    with pytest.raises(
        RecipeError,
        match=rf"source 'wiki': path 'gone/\*' matches no file.*{data}.*--data or TONSAI_DATA",
    ):
        find_dumps(recipe({"name": "wiki", "path": "gone/*"}), layout, data)


def version(described: Recipe, layout: Layout, data: Path) -> str:
    return find_dumps(described, layout, data).dumps[0].version


def test_a_version_is_the_content_and_neither_place_nor_time(
    layout: Layout, data: Path, tmp_path: Path
) -> None:
    described = recipe({"name": "wiki", "path": "km", "date": "20260301"})
    before = version(described, layout, data)
    os.utime(data / "km/a.jsonl", (1, 1))
    assert version(described, layout, data) == before
    data.rename(tmp_path / "moved")
    assert version(described, layout, tmp_path / "moved") == before
    changed = tmp_path / "moved" / "km" / "a.jsonl"
    changed.write_text(changed.read_text().replace("x", "y"))
    assert version(described, layout, tmp_path / "moved") != before


def test_a_renamed_file_is_another_version(layout: Layout, data: Path) -> None:
    described = recipe({"name": "wiki", "path": "km"})
    before = version(described, layout, data)
    (data / "km/a.jsonl").rename(data / "km/c.jsonl")
    assert version(described, layout, data) != before


def test_a_removed_dump_is_off_until_it_is_added_again_and_its_file_stays(
    layout: Layout, data: Path
) -> None:
    described = recipe()
    file = write(layout.inbox / "wiki@20260101.jsonl")
    assert remove_dump(described, layout, data, "wiki@20260101").key == "wiki@20260101"
    found = find_dumps(described, layout, data)
    assert [(dump.key, dump.enabled) for dump in found.dumps] == [("wiki@20260101", False)]
    assert found.enabled == ()
    assert file.is_file()
    add_dump(described, layout, source="wiki", date="20260101", files=[])
    assert [dump.key for dump in find_dumps(described, layout, data).enabled] == ["wiki@20260101"]


def test_an_added_dump_is_found_from_any_folder(
    layout: Layout, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = recipe()
    monkeypatch.chdir(data)
    key = add_dump(
        described, layout, source="wiki", date="20260102", files=["km/*.jsonl", Path("en.jsonl")]
    )
    monkeypatch.chdir("/")
    dump = find_dumps(described, layout, data)[key]
    assert dump.names == ("a.jsonl", "b.jsonl", "en.jsonl")
    assert dump.key.source == "wiki"


def test_a_file_added_later_changes_no_name_of_those_before(
    layout: Layout, data: Path, tmp_path: Path
) -> None:
    described = recipe()
    add_dump(described, layout, source="wiki", date="20260102", files=[data / "km" / "b.jsonl"])
    [before] = find_dumps(described, layout, data).dumps
    other = [write(tmp_path / "another" / name, name) for name in ("a.jsonl", "b.jsonl")]
    add_dump(described, layout, source="wiki", date="20260102", files=other)
    [after] = find_dumps(described, layout, data).dumps
    assert dict(zip(after.files, after.names, strict=True)) == {
        before.files[0]: before.names[0],
        str(other[0]): "a.jsonl",
        str(other[1]): "another/b.jsonl",
    }


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"source": "wikki"}, RecipeError, "no source 'wikki'; did you mean 'wiki'"),
        ({"date": "2026-01-02"}, RecipeError, "write it as YYYYMMDD"),
        ({"files": ["gone.jsonl"]}, DumpError, r"'gone\.jsonl' matches no file"),
    ],
)
def test_a_wrong_addition_changes_nothing(
    layout: Layout, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        add_dump(recipe(), layout, **{"source": "wiki", "date": "20260102", "files": [], **changes})
    assert not layout.registry.exists()


def test_an_added_dump_whose_files_are_gone_is_an_error_with_a_way_out(
    layout: Layout, data: Path
) -> None:
    file = write(data / "extra.jsonl")
    add_dump(recipe(), layout, source="wiki", date="20260102", files=[file])
    file.unlink()
    with pytest.raises(
        DumpError, match=r"wiki@20260102, added by hand.*extra\.jsonl' matches no file"
    ):
        find_dumps(recipe(), layout, data)


def test_an_added_dump_of_a_source_that_left_the_recipe_is_reported(
    layout: Layout, data: Path
) -> None:
    add_dump(recipe(), layout, source="wiki", date="20260102", files=[data / "en.jsonl"])
    found = find_dumps(recipe({"name": "web"}), layout, data)
    assert found.dumps == ()
    assert "dump wiki@20260102: recipe 'test' has no source 'wiki'" in found.problems[0]


def test_an_unknown_dump_names_the_nearest(layout: Layout, data: Path) -> None:
    write(layout.inbox / "wiki@20260101.jsonl")
    with pytest.raises(
        RecipeError, match=r"'wiki@20260110': not in the catalog; did you mean 'wiki@20260101'"
    ):
        remove_dump(recipe(), layout, data, "wiki@20260110")


def test_a_hub_source_is_one_dump_with_a_location(layout: Layout, data: Path) -> None:
    commit = "c" * 40
    described = recipe(
        {
            "name": "hub",
            "hub": {"id": "org/data", "config": "khm", "revision": commit},
            "date": "20260501",
        }
    )
    [dump] = find_dumps(described, layout, data).dumps
    assert dump.files == (f"hub://org/data?config=khm&split=train&revision={commit}",)
    assert dump.names == ("hub://org/data?config=khm&split=train",)


def test_a_written_catalog_holds_the_enabled_dumps_in_order(
    store: Store, layout: Layout, data: Path
) -> None:
    described = recipe()
    for name in (
        "wiki@20260201.jsonl",
        "web@20260101.jsonl",
        "wiki@20260101.jsonl",
        "huh@20260101.jsonl",
    ):
        write(layout.inbox / name)
    remove_dump(described, layout, data, "wiki@20260201")
    workspace = Workspace(root=str(layout.root), data=str(data))
    artifact = Graph(described, workspace).publish_catalog()
    assert store.current("dump_catalog").path == artifact.path
    assert list(read_catalog(artifact)) == ["wiki@20260101", "web@20260101"]
    assert artifact.report["num_dumps"] == 2
    assert artifact.report["switched_off"] == ["wiki@20260201"]
    assert len(artifact.report["problems"]) == 1
    text = (artifact.path / "dumps.json").read_text()
    assert str(layout.root) not in text


def test_a_quick_look_reads_nothing_and_names_new_content_by_its_stamp(layout: Layout) -> None:
    file = write(layout.inbox / "wiki@20260101.jsonl")
    then = time.time() - 60
    os.utime(file, (then, then))

    def quick() -> Catalog:
        return find_dumps(recipe(), layout, Path("/"), reads=False)

    [unread] = quick().dumps
    assert unread.is_growing(then - 5)
    assert not unread.is_growing(then + 5)
    assert not layout.hashes.exists()
    file.write_text("longer than before, and more of it")
    assert quick().dumps[0].version != unread.version


def test_a_dump_that_failed_three_times_is_set_aside_until_it_changes_or_a_person_says_so(
    layout: Layout,
) -> None:
    file = write(layout.inbox / "wiki@20260101.jsonl")
    attempts = Attempts(layout.attempts, recipe())

    def look(**sections: Any) -> Catalog:
        described = recipe().model_dump(mode="json") | sections
        return find_dumps(Recipe.model_validate(described), layout, Path("/"))

    for number in range(3):
        [dump] = look().enabled
        attempts.begin(dump.key, dump.version)
        if number == 1:  # the second one is killed
            continue
        attempts.fail(dump.key, dump.version, "no document")
    assert look().enabled == ()
    assert look().set_aside == {"wiki@20260101": "no document"}
    assert look(ingest={"max_bad_frac": 0.9}).enabled, "other settings may read it"
    assert look(automation={"on_bad_dump": "stop"}).enabled, "a person wants to be asked"
    before = file.read_text()
    file.write_text("other content")
    assert look().enabled
    file.write_text(before)
    assert not look().enabled
    add_dump(recipe(), layout, source="wiki", date="20260101", files=[])
    assert look().enabled


def test_an_unchanged_file_is_not_read_again(
    layout: Layout, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tonsai_pipeline.storage.dumps import identity

    in_a_minute = time.time() + 60
    monkeypatch.setattr(identity.time, "time", lambda: in_a_minute)
    described = recipe({"name": "wiki", "path": "."})
    before = version(described, layout, data)
    monkeypatch.setattr(identity, "digest_file", lambda path: pytest.fail(f"read {path} again"))
    assert version(described, layout, data) == before


def test_a_file_replaced_under_its_old_size_and_time_is_another_version(
    layout: Layout, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tonsai_pipeline.storage.dumps import identity

    in_a_minute = time.time() + 60
    monkeypatch.setattr(identity.time, "time", lambda: in_a_minute)
    described = recipe({"name": "wiki", "path": "km"})
    file = data / "km" / "a.jsonl"
    os.utime(file, (1e9, 1e9))
    before = version(described, layout, data)
    file.write_text(file.read_text().replace("x", "y"))
    os.utime(file, (1e9, 1e9))
    assert version(described, layout, data) != before


def test_one_file_in_two_places_comes_once(layout: Layout, data: Path) -> None:
    (data / "link.jsonl").symlink_to(data / "km" / "a.jsonl")
    described = recipe({"name": "wiki", "path": ["km", "link.jsonl"], "date": "20260301"})
    [dump] = find_dumps(described, layout, data).dumps
    assert dump.names == ("km/a.jsonl", "km/b.jsonl")


def test_an_added_folder_is_read_by_the_sources_format(layout: Layout, data: Path) -> None:
    write(data / "logs" / "one.log")
    described = recipe({"name": "wiki", "format": "jsonl"})
    add_dump(described, layout, source="wiki", date="20260102", files=[data / "logs"])
    [dump] = find_dumps(described, layout, data).dumps
    assert dump.names == ("one.log",)
    with pytest.raises(DumpError, match=r"logs' matches no file.*one\.log: unknown file format"):
        add_dump(recipe(), layout, source="web", date="20260102", files=[data / "logs"])
