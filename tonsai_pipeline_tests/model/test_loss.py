"""The summed loss agrees with transformers' own, in one piece and in chunks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tonsai_pipeline.model.loss import IGNORE, NextTokenLoss
from tonsai_pipeline_tests.train import tiny


@pytest.fixture(scope="module")
def model():
    return tiny.network()


@pytest.fixture(scope="module")
def arguments() -> dict[str, torch.Tensor]:
    return tiny.rows(3, torch.zeros(64, dtype=torch.int32))


def test_the_sum_is_that_of_plain_logits(model, arguments) -> None:
    nll, _ = NextTokenLoss(model)(**arguments)
    model.set_attn_implementation("sdpa")
    logits = model(arguments["input_ids"], use_cache=False).logits
    model.set_attn_implementation("tonsai_varlen")
    expected = F.cross_entropy(
        logits.flatten(0, 1), arguments["targets"].flatten(), reduction="sum"
    )
    torch.testing.assert_close(nll, expected, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("with_z", [False, True])
def test_chunks_change_neither_loss_nor_gradient(model, arguments, with_z: bool) -> None:
    results = []
    for chunk in (0, 50):
        model.zero_grad()
        nll, z = NextTokenLoss(model, chunk_tokens=chunk, with_z=with_z)(**arguments)
        (nll + 1e-4 * z).backward()
        results.append((nll.detach(), z.detach(), model.transformer.wte.weight.grad.clone()))
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(whole, chunked, rtol=1e-5, atol=1e-4)


def test_z_is_the_squared_logsumexp_of_the_targets_positions(model, arguments) -> None:
    plain, none = NextTokenLoss(model)(**arguments)
    nll, z = NextTokenLoss(model, with_z=True)(**arguments)
    assert none == 0.0
    torch.testing.assert_close(nll, plain, rtol=1e-6, atol=1e-3)
    count = int((arguments["targets"] != IGNORE).sum())
    # Fresh logits are near 0, so the logsumexp is near log 320.
    assert z.item() / count == pytest.approx(torch.log(torch.tensor(320.0)).item() ** 2, rel=0.05)
