"""Muon: which matrices it gets, how fused ones are cut, that clipping comes first, and exact resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model.build import build_model
from tonsai_pipeline.model.loss import NextTokenLoss
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.train import OptimizerConfig, TrainConfig
from tonsai_pipeline.train.backends.muon import matrices_of
from tonsai_pipeline.train.backends.optimizer import make_optimizer
from tonsai_pipeline.train.checkpoints.fragments import FragmentReader
from tonsai_pipeline.train.loop.stop import StopAfter
from tonsai_pipeline_tests.train import tiny
from tonsai_pipeline_tests.train.test_job import losses, run_job, weights

MUON = {"name": "muon", "lr": 3e-3}
FUSED = "transformer.h.0.attn.c_attn.weight"


def set_gradients(model: PreTrainedModel, scale: float) -> None:
    """Set the same random gradients each time, of a size."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn(parameter.shape, generator=generator)


def stepped(scale: float, *, grad_clip: float = 1.0) -> torch.Tensor:
    """Take one step; return a fused matrix after it."""
    model = tiny.network()
    section = OptimizerConfig.model_validate({**MUON, "weight_decay": 0.5, "grad_clip": grad_clip})
    optimizer = make_optimizer(NextTokenLoss(model), section, fused=False, guarded=True)
    set_gradients(model, scale)
    optimizer.step()
    return model.get_parameter(FUSED).detach()


@pytest.mark.parametrize("tied", [True, False])
def test_matrices_are_known_by_their_layers(tied: bool) -> None:
    section = ModelConfig(
        architecture="qwen3", num_layers=1, hidden_size=64, num_heads=2, tie_embeddings=tied
    )
    special = {"bos": tiny.BOS, "eos": tiny.EOS, "pad": tiny.PAD}
    qwen = build_model(section, vocab_size=320, seq_len=64, special_ids=special, seed=0)
    found = matrices_of(qwen)
    names = {name.rsplit(".", 2)[-2] for name, p in qwen.named_parameters() if id(p) in found}
    assert names == {*(f"{n}_proj" for n in ("q", "k", "v", "o", "gate", "up", "down"))}
    assert set(found.values()) == {1}


def test_the_fused_projection_of_gpt2_is_three_matrices() -> None:
    model = tiny.network()
    found = matrices_of(model)
    cuts = {n.split(".h.0.")[-1]: found.get(id(p)) for n, p in model.named_parameters()}
    assert cuts["attn.c_attn.weight"] == 3
    assert cuts["attn.c_proj.weight"] == cuts["mlp.c_fc.weight"] == cuts["mlp.c_proj.weight"] == 1
    assert cuts["transformer.wte.weight"] is None
    assert cuts["transformer.wpe.weight"] is None
    set_gradients(model, 1e-3)
    fused = model.get_parameter(FUSED)
    assert fused.grad is not None
    pieces = [piece.detach().clone() for piece in fused.chunk(3, dim=1)]
    for piece, gradient in zip(pieces, fused.grad.chunk(3, dim=1), strict=True):
        piece.grad = gradient.clone()
    torch.optim.Muon(pieces, lr=3e-3, weight_decay=0.5, adjust_lr_fn="match_rms_adamw").step()
    assert torch.allclose(stepped(1e-3), torch.cat(pieces, dim=1), atol=1e-7)


def test_clipping_does_not_shrink_updates() -> None:
    before = tiny.network().get_parameter(FUSED).detach()
    change, whole = stepped(1e3) - before, stepped(1e3, grad_clip=0.0) - before
    assert change.norm().item() == pytest.approx(whole.norm().item(), rel=0.01)


def test_a_family_with_unknown_projections_is_refused() -> None:
    config = AutoConfig.for_model(
        "gpt_neox", num_hidden_layers=1, hidden_size=32, num_attention_heads=2, vocab_size=64,
        intermediate_size=64,
    )  # fmt: skip
    with pytest.raises(RecipeError, match="which projections of gpt_neox are fused"):
        matrices_of(AutoModelForCausalLM.from_config(config))


@pytest.mark.parametrize(
    "section",
    [
        {"zero_stage": 2},
        {"zero_stage": 3, "precision": "bf16"},
        {"zero_stage": 1, "precision": "fp16"},
        {"zero_stage": 1, "precision": "fp32"},
        {"zero_stage": 0, "precision": "fp32", "offload_optimizer": True},
        {"zero_stage": 0, "precision": "fp32", "deepspeed_config": "zero.json"},
    ],
)
def test_where_gradients_are_divided_or_clipped_too_late_it_is_refused(
    section: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="needs whole gradients"):
        TrainConfig.model_validate({**section, "optimizer": MUON})


def test_a_stopped_run_goes_on_to_the_same_last_digit(tiny_data: Path) -> None:
    _, whole, _ = run_job(tiny_data, "muon", optimizer=MUON)
    run_job(tiny_data, "muon, stopped", StopAfter(3), optimizer=MUON)
    state = FragmentReader(tiny_data / "muon, stopped/checkpoints/step-00000003/state")
    assert state.has("momentum_buffer", FUSED)
    assert not state.has("exp_avg", FUSED)
    assert state.has("exp_avg_sq", "transformer.wte.weight")
    _, records, _ = run_job(tiny_data, "muon, stopped", optimizer=MUON)
    assert losses(records) == losses(whole)
    assert torch.equal(weights(tiny_data / "muon, stopped"), weights(tiny_data / "muon"))
    # It learns, and not what AdamW learns.
    _, other, _ = run_job(tiny_data, "muon, adamw", optimizer={"lr": 3e-3})
    assert losses(whole)[-1][1] < losses(whole)[0][1]
    assert losses(whole)[-1][1] != losses(other)[-1][1]
