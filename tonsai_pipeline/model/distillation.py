"""Finished networks teach a new one: the loss of packed rows, part of it how far the new one is from their mean.

    rows ──teachers, without gradient──▶ hidden states ──a chunk at a time──▶ mean probabilities ┐
         ──student──▶ logits ──▶ (1 - weight) x cross-entropy  +  weight x T^2 x KL(mean || student)

Source: Hinton et al. 2015 (arXiv:1503.02531), section 2; of an ensemble on repeated text: Kim et al. 2025
(arXiv:2509.14786).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, Self, cast

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone knows
from torch import Tensor, nn
from transformers import PreTrainedModel

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model.build import load_model
from tonsai_pipeline.model.check import check_loss
from tonsai_pipeline.model.loss import IGNORE, NextTokenLoss, hidden_of, logits_of
from tonsai_pipeline.storage.files import digest_file

_TOKENIZER = "tokenizer.json"


class Teachers:
    """Networks that are read only: no part of a module, so that nothing trains, divides, saves or copies them.

    Args:
        models: With our attention, all on one device.
    """

    def __init__(self, models: Sequence[PreTrainedModel]) -> None:
        self.models = tuple(model.eval().requires_grad_(False) for model in models)

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Self:
        """Return the same teachers: a copy of a student has them too."""
        return self

    @torch.no_grad()
    def hidden(self, arguments: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """Rows -> an (N, d) of each."""
        return tuple(hidden_of(model, arguments) for model in self.models)

    @torch.no_grad()
    def probabilities(self, hidden: Sequence[Tensor], temperature: float) -> Tensor:
        """(N, d) of each -> (N, V), the mean of their probabilities in fp32."""
        found = (
            F.softmax(logits_of(model, one).float() / temperature, dim=-1)
            for model, one in zip(self.models, hidden, strict=True)
        )
        return reduce(Tensor.add_, found).div_(len(self.models))


class DistillationLoss(NextTokenLoss):
    """The loss of a student; while it is measured, the plain one.

    Args:
        model: The student.
        teachers: At least one, of the student's vocabulary.
        weight: Of the divergence, 0..1; the rest is the cross-entropy's.
        temperature: What logits of both sides are divided by in the divergence.
        chunk_tokens: See `NextTokenLoss`; the teachers' logits exist in the same chunks.
        with_z: See `NextTokenLoss`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        teachers: Teachers,
        *,
        weight: float,
        temperature: float,
        chunk_tokens: int = 0,
        with_z: bool = False,
    ) -> None:
        super().__init__(model, chunk_tokens=chunk_tokens, with_z=with_z)
        self.teachers = teachers
        self.weight = weight
        self.temperature = temperature

    def _taught(self, arguments: Mapping[str, Any]) -> tuple[Tensor, ...]:
        return self.teachers.hidden(arguments) if self.model.training else ()

    def _sums(self, logits: Tensor, targets: Tensor, *taught: Tensor) -> tuple[Tensor, Tensor]:
        nll, z = super()._sums(logits, targets)
        if not taught:
            return nll, z
        wanted = self.teachers.probabilities(taught, self.temperature)
        said = F.log_softmax(logits.float() / self.temperature, dim=-1)
        per_token = F.kl_div(said, wanted, reduction="none").sum(-1)
        divergence = self.temperature**2 * (per_token * (targets != IGNORE)).sum()
        return (1 - self.weight) * nll + self.weight * divergence, z


def open_teachers(
    folders: Sequence[Path],
    tokenizer_dir: Path,
    *,
    vocab_size: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Teachers:
    """Open finished models that speak in the student's tokens.

    Args:
        folders: Of models with their tokenizers.
        tokenizer_dir: The tokenizer that made the student's rows.
        vocab_size: Rows of the student's embedding.
        device: Where they go.
        dtype: In which they compute.

    Raises:
        RecipeError: One is no model, has another tokenizer or vocabulary, or its logits cannot be computed in chunks.
    """
    wanted = digest_file(tokenizer_dir / _TOKENIZER)
    models = []
    for folder in folders:
        path = folder / _TOKENIZER
        if not path.is_file() or digest_file(path) != wanted:
            raise RecipeError(
                f"train.teacher: {folder}: "
                + ("another tokenizer" if path.is_file() else f"no {_TOKENIZER}")
                + f" than the one that made the rows ({tokenizer_dir}); a teacher's probabilities are over its own tokens: "
                "take models that were trained on rows of this tokenizer"
            )
        model = load_model(folder)
        if model.config.vocab_size != vocab_size:
            raise RecipeError(
                f"train.teacher: {folder}: {model.config.vocab_size} rows of vocabulary, the rows have {vocab_size}; take "
                "a model that was trained on rows of the same padding"
            )
        check_loss(NextTokenLoss(model, chunk_tokens=1))
        cast("nn.Module", model).to(device, dtype)
        models.append(model)
    return Teachers(models)
