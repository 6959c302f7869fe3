"""Sections that contradict themselves are refused with the words of the recipe."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from tonsai_pipeline.recipe.evaluate import EvaluateConfig
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.train import TrainConfig


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (ModelConfig, {"config_file": "a.json", "base": "b"}, "not both"),
        (ModelConfig, {"base": "b", "num_layers": 3}, "num_layers: decided by"),
        (ModelConfig, {"hidden_size": 100, "num_heads": 3}, "not a multiple of num_heads 3"),
        (ModelConfig, {"num_kv_heads": 2}, "gpt2 has no grouped-query attention"),
        (
            ModelConfig,
            {"architecture": "llama", "num_kv_heads": 3},
            "not a multiple of num_kv_heads 3",
        ),
        (ModelConfig, {"base_revision": "x"}, "names a commit of `base`"),
        (ModelConfig, {"num_layer": 3}, "Extra inputs are not permitted"),
        (TrainConfig, {"max_tokens": 5, "num_epochs": 1}, "not both"),
        (TrainConfig, {"engine": "torch", "deepspeed_config": "x.json"}, "no effect"),
        (
            TrainConfig,
            {"schedule": {"warmup_frac": 0.6, "decay_frac": 0.6}},
            "more than the whole run",
        ),
        (TrainConfig, {"zero_stage": 4}, "Input should be 0, 1, 2 or 3"),
    ],
)
def test_a_contradiction_is_refused(
    section: type[BaseModel], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        section.model_validate(values)


@pytest.mark.parametrize("values", [{"config_file": "a.json"}, {"base": "b"}, {"num_layers": 3}])
def test_a_section_that_was_written_whole_reads_back(values: dict[str, Any]) -> None:
    section = ModelConfig.model_validate(values)
    assert ModelConfig.model_validate_json(section.model_dump_json()) == section


@pytest.mark.parametrize("section", [ModelConfig, TrainConfig, EvaluateConfig])
def test_every_field_is_documented(section: type[BaseModel]) -> None:
    def visit(kind: type[BaseModel]) -> None:
        for name, field in kind.model_fields.items():
            assert field.description, f"{kind.__name__}.{name}"
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                visit(field.annotation)

    visit(section)
