"""A section as a cache key and as a stage see it: files by their bytes, nothing that was not declared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe import parse_recipe
from tonsai_pipeline.recipe.quality import QualityConfig
from tonsai_pipeline.storage.files import name_contents


def quality(folder: Path, **sections: object) -> QualityConfig:
    sources = [{"name": "a", "lang": "eng"}]
    raw = {"name": "r", "sources": sources, "quality": sections}
    return parse_recipe(raw, where="r.yaml", folder=folder).quality


def test_a_file_counts_by_its_bytes_and_neither_by_its_name_nor_by_its_place(
    tmp_path: Path,
) -> None:
    for name, text in (("a/x.txt", "one"), ("b/y.txt", "one"), ("c/x.txt", "two")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    first, same, other = (
        quality(tmp_path / name[0], word_lists={"eng": name[2:]}).settings(name_contents)
        for name in ("a/x.txt", "b/y.txt", "c/x.txt")
    )
    assert first == same != other
    (tmp_path / "a/x.txt").write_text("six")
    section = quality(tmp_path / "a", word_lists={"eng": "x.txt"})
    assert section.settings(name_contents) not in (first, other)


def test_a_folder_counts_by_the_names_and_bytes_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("x")
    before = name_contents(tmp_path)
    (tmp_path / ".hidden").write_text("x")
    assert name_contents(tmp_path) == before
    (tmp_path / "sub" / "a").rename(tmp_path / "sub" / "b")
    assert name_contents(tmp_path) != before


@pytest.mark.parametrize(
    ("section", "where"),
    [
        ({"word_lists": {"eng": "gone"}}, r"quality\.word_lists\.eng: .*gone: no such file"),
        (
            {"classifiers": {"eng": {"model": "gone.bin"}}},
            r"quality\.classifiers\.eng\.model: .*gone\.bin: no such file",
        ),
    ],
)
def test_a_missing_file_is_named_with_the_key_that_names_it(
    tmp_path: Path, section: dict[str, object], where: str
) -> None:
    with pytest.raises(RecipeError, match=where):
        quality(tmp_path, **section).settings(name_contents, "quality")


def test_what_cannot_change_a_result_is_in_no_key(tmp_path: Path) -> None:
    calm, strict = (quality(tmp_path, max_drift=value) for value in (0.9, 0.1))
    assert calm != strict
    assert calm.settings(name_contents) == strict.settings(name_contents)


def test_a_stage_that_reads_what_it_did_not_declare_fails(tmp_path: Path) -> None:
    section = quality(tmp_path)
    narrow = section.narrow(only=("mask", "khm"))
    assert (narrow.mask, narrow.khm.min_score) == (section.mask, section.khm.min_score)
    with pytest.raises(AttributeError, match="word_lists"):
        _ = narrow.word_lists
    with pytest.raises(AttributeError, match="max_drift"):
        _ = section.narrow().max_drift
    with pytest.raises(AttributeError, match="mask"):
        _ = section.narrow(without=("mask",)).mask
    assert set(narrow.settings(name_contents)) == {"mask", "khm"}
    with pytest.raises(ValueError, match="QualityConfig has no field masks"):
        section.narrow(only=("masks",))
