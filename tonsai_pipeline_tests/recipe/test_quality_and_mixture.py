"""Recipe sections quality and mixture: what is refused, and what a source is given of its own."""

from __future__ import annotations

import pytest

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe import parse_recipe
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.recipe.mixture import MixtureConfig, ValidationSplit

SOURCES = [{"name": name, "lang": name[:3], "path": "a.jsonl"} for name in ("khm_a", "eng_b")]


def parse(**sections: object) -> object:
    return parse_recipe({"name": "small", "sources": SOURCES, **sections}, where="r.yaml")


@pytest.mark.parametrize(
    "mixture", [{"max_epochs": 17}, {"source_max_epochs": {"khm_a": 40}, "max_epochs": 2}]
)
def test_more_than_sixteen_epochs_are_refused_unless_they_are_allowed(
    mixture: dict[str, object],
) -> None:
    with pytest.raises(RecipeError, match="more than 16, from where repeats are worth"):
        parse(mixture=mixture)
    parse(mixture=mixture | {"allow_many_epochs": True})


def test_a_source_may_have_a_cap_of_its_own() -> None:
    config = MixtureConfig(max_epochs=4, source_max_epochs={"khm_a": 2})
    assert (config.epochs_of("khm_a"), config.epochs_of("eng_b")) == (2, 4)


@pytest.mark.parametrize(
    "quality",
    [
        {"short_text": ["khm_z"]},
        {"classifiers": {"khm": {"positives": ["khm_a"], "negatives": ["khm_z"]}}},
    ],
)
def test_quality_names_only_sources_of_the_recipe(quality: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="quality names what is no source: khm_z"):
        parse(quality=quality)


def test_a_source_is_not_both_good_and_bad() -> None:
    both = {"positives": ["khm_a"], "negatives": ["khm_a"]}
    with pytest.raises(RecipeError, match="named as both positive and negative: khm_a"):
        parse(quality={"classifiers": {"khm": both}})


def test_the_limits_of_the_split_are_accepted_for_one_release_and_told() -> None:
    with pytest.warns(FutureWarning, match="min_documents is not used since 0.2"):
        old = ValidationSplit.model_validate({"frac": 0.1, "min_documents": 4})
    assert old == ValidationSplit(frac=0.1)


def test_the_policy_that_is_gone_says_what_to_use() -> None:
    with pytest.raises(ValueError, match="prefer cleaner sources with policy 'prefer_source'"):
        DedupConfig.model_validate({"policy": "best_quality"})
