"""The loss of a student: Hinton's formula on the tokens that are predicted, in one piece and in chunks."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model.build import save_model
from tonsai_pipeline.model.distillation import DistillationLoss, Teachers, open_teachers
from tonsai_pipeline.model.loss import IGNORE, NextTokenLoss
from tonsai_pipeline_tests.train import tiny

WEIGHT, TEMPERATURE = 0.3, 2.0


@pytest.fixture(scope="module")
def rows() -> dict[str, torch.Tensor]:
    """Two rows, two documents in each, some tokens predicting nothing."""
    return tiny.rows(2, (torch.arange(64) >= 32).int())


@pytest.fixture(scope="module")
def teachers() -> Teachers:
    models = [tiny.network(seed) for seed in (1, 2)]
    for model in models:
        # Fresh logits are nearly equal everywhere, and so are all teachers.
        model.transformer.wte.weight.data *= 8
    return Teachers(models)


def student(teachers: Teachers, chunk_tokens: int = 0) -> DistillationLoss:
    return DistillationLoss(
        tiny.network(),
        teachers,
        weight=WEIGHT,
        temperature=TEMPERATURE,
        chunk_tokens=chunk_tokens,
    ).train()


def logits(model, rows: dict[str, torch.Tensor]) -> torch.Tensor:
    """(2 x 64, V), each document computed alone."""
    model.set_attn_implementation("sdpa")
    found = [
        model(ids, position_ids=places, use_cache=False).logits
        for ids, places in zip(
            rows["input_ids"].split(32, 1), rows["position_ids"].split(32, 1), strict=True
        )
    ]
    model.set_attn_implementation("tonsai_varlen")
    return torch.cat(found, 1).flatten(0, 1)


def test_it_is_the_published_formula_on_predicted_tokens_of_documents_apart(rows, teachers) -> None:
    loss = student(teachers)
    found = loss(**rows)[0]
    targets = rows["targets"].flatten()
    own = logits(loss.model, rows)
    with torch.no_grad():
        wanted = sum(F.softmax(logits(one, rows) / TEMPERATURE, -1) for one in teachers.models) / 2
    said = F.log_softmax(own / TEMPERATURE, -1)
    divergence = (wanted * (wanted.log() - said)).sum(-1)[targets != IGNORE].sum()
    nll = F.cross_entropy(own, targets, ignore_index=IGNORE, reduction="sum")
    assert divergence > 10
    expected = (1 - WEIGHT) * nll + WEIGHT * TEMPERATURE**2 * divergence
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)


def test_chunks_change_neither_loss_nor_gradient(rows, teachers) -> None:
    results = []
    for chunk in (0, 50):
        loss = student(teachers, chunk)
        nll, _ = loss(**rows)
        nll.backward()
        results.append((nll.detach(), loss.model.transformer.wte.weight.grad))
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(whole, chunked, rtol=1e-5, atol=1e-4)


def test_it_measures_the_plain_loss_and_hides_its_teachers(rows, teachers) -> None:
    loss = student(teachers)
    plain = NextTokenLoss(loss.model)
    assert loss.eval()(**rows)[0] == plain(**rows)[0]
    assert loss.state_dict().keys() == plain.state_dict().keys()
    loss.train()(**rows)[0].backward()
    assert all(w.grad is None for one in teachers.models for w in one.parameters())
    assert not any(one.training for one in teachers.models)
    assert copy.deepcopy(loss).teachers is teachers


def test_a_teacher_of_other_tokens_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny.write_tokenizer(tmp_path / "tokenizer")
    folder = tmp_path / "model"
    save_model(tiny.network(), folder, tokenizer_dir=tokenizer)
    cpu = {"device": torch.device("cpu"), "dtype": torch.float32}
    assert len(open_teachers([folder], tokenizer, vocab_size=320, **cpu).models) == 1
    with pytest.raises(RecipeError, match=r"model: 320 rows of vocabulary, the rows have 384"):
        open_teachers([folder], tokenizer, vocab_size=384, **cpu)
    other = shutil.copytree(tokenizer, tmp_path / "other")
    (other / "tokenizer.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"train\.teacher: .*model: another tokenizer"):
        open_teachers([folder], other, vocab_size=320, **cpu)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(RecipeError, match=r"no tokenizer\.json"):
        open_teachers([folder], tokenizer, vocab_size=320, **cpu)
