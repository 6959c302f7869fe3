from __future__ import annotations

from pathlib import Path

import pytest

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.storage.registry import AddedDump, Registry, load_registry, save_registry


def test_a_registry_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "dumps" / "test.json"
    assert load_registry(path) == Registry()
    registry = Registry().add(AddedDump("a", "20260101", "/x")).switch("b@20260101", is_on=False)
    save_registry(path, registry)
    assert load_registry(path) == registry


def test_adding_a_dump_twice_is_adding_it_once_and_switches_it_on() -> None:
    dump = AddedDump("a", "20260101", "/x")
    registry = Registry().add(dump).switch(dump.key, is_on=False)
    assert registry.off == ("a@20260101",)
    assert registry.add(dump) == Registry(added=(dump,))


@pytest.mark.parametrize(
    "content", ["not json", "[]", '{"added": []}', '{"added": [{"x": 1}], "off": []}']
)
def test_a_damaged_registry_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "test.json"
    path.write_text(content)
    with pytest.raises(StorageError, match=r"test\.json"):
        load_registry(path)
