"""The section `sft`: defaults that follow the method, and contradictions that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sft import SftConfig

SOURCE = {"name": "a", "path": "a.jsonl", "license": "MIT"}


def test_rates_follow_the_method_and_what_is_given_stays() -> None:
    assert SftConfig().train.optimizer.lr == 2e-5
    assert SftConfig.model_validate({"method": "lora"}).train.optimizer.lr == 2e-4
    given = {"method": "lora", "train": {"optimizer": {"grad_clip": 0.5}, "max_tokens": 9}}
    train = SftConfig.model_validate(given).train
    assert (train.optimizer.lr, train.optimizer.grad_clip) == (2e-4, 0.5)
    assert (train.optimizer.weight_decay, train.schedule.shape) == (0.0, "cosine")
    assert (train.max_tokens, train.num_epochs) == (9, None)


def test_a_section_that_was_written_is_read_again() -> None:
    section = SftConfig.model_validate({"method": "lora", "train": {"num_epochs": 3}})
    assert SftConfig.model_validate(section.model_dump(mode="json")) == section


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"method": "lora", "train": {"zero_stage": 3}}, "zero_stage 0 to 2"),
        (
            {"method": "lora", "train": {"backend": "torch", "optimizer": {"name": "muon"}}},
            "adapters are thin",
        ),
        ({"train": {"teacher": {"num_seeds": 1}}}, "name tuned models"),
        ({"sources": [SOURCE, SOURCE]}, "must be unique"),
        ({"sources": [{**SOURCE, "weight": 1}, {**SOURCE, "name": "b"}]}, "a weight, or none"),
        ({"sources": [{"name": "a", "license": "MIT"}]}, "either 'path' or 'hub'"),
        ({"sources": [{"name": "a", "path": "a.jsonl"}]}, "license"),
    ],
)
def test_contradictions_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SftConfig.model_validate(values)


def test_a_recipe_without_a_corpus_needs_a_base_and_has_nothing_to_replay() -> None:
    sft: dict[str, Any] = {"base": "owner/model", "sources": [SOURCE]}
    assert not Recipe.model_validate({"name": "t", "sft": sft}).sources
    with pytest.raises(ValidationError, match="name at least one source"):
        Recipe.model_validate({"name": "t", "sft": {"sources": [SOURCE]}})
    with pytest.raises(ValidationError, match="replay_frac"):
        Recipe.model_validate({"name": "t", "sft": {**sft, "replay_frac": 0.1}})
