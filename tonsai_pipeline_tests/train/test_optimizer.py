"""Which parameters learn at which rate."""

from __future__ import annotations

import pytest
import torch

from tonsai_pipeline.model.loss import NextTokenLoss
from tonsai_pipeline.recipe.train import OptimizerConfig
from tonsai_pipeline.train.backends.optimizer import make_optimizer
from tonsai_pipeline.train.backends.phases import LR_SCALE, rate_of
from tonsai_pipeline_tests.train import tiny


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_embeddings_have_a_rate_of_their_own(name: str) -> None:
    model = tiny.network()
    section = OptimizerConfig.model_validate(
        {"name": name, "lr": 1e-3, "embedding_lr": 1e-2, "weight_decay": 0.0, "grad_clip": 0.0}
    )
    optimizer = make_optimizer(NextTokenLoss(model), section, fused=False, guarded=True)
    for group in optimizer.param_groups:
        group["lr"] = rate_of(group, 1e-3)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    # AdamW's first step moves each weight by its rate.
    for key, value in model.named_parameters():
        moved = (value.detach() - before[key]).abs()
        is_embedding = key.endswith(("wte.weight", "wpe.weight"))
        if is_embedding or name == "adamw" or value.ndim < 2:
            rate = 1e-2 if is_embedding else 1e-3
            torch.testing.assert_close(moved, torch.full_like(moved, rate), rtol=1e-3, atol=1e-6)
        else:
            assert moved.square().mean().sqrt() < 1e-3


def test_what_is_frozen_has_no_rate() -> None:
    assert rate_of({"own_scale": 10.0, LR_SCALE: 0.0}, 1e-3) == 0.0
    assert rate_of({"own_scale": 10.0}, 1e-3) == pytest.approx(1e-2)
    assert rate_of({}, 1e-3) == 1e-3
