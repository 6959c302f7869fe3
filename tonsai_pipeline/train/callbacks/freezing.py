"""Phases of a run -> at each step, the gradients and rates of what does not learn are zero.

The others keep their values to the last bit, see `backends/phases.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.continual import FreezePhase
from tonsai_pipeline.train.backends.backend import Backend
from tonsai_pipeline.train.backends.phases import (
    LEARNS,
    LR_SCALE,
    NEW_EMBEDDINGS,
    embeddings_of,
    learning_phases,
    learns_rows_only,
    phase_of,
)
from tonsai_pipeline.train.callbacks.callback import Callback


class Freezing(Callback):
    """Makes a network and its optimizer learn what the phase of a step lets learn.

    Args:
        backend: The network and its optimizer, whose groups were made with the same phases
            (`optimizer.parameter_groups`).
        phases: Of the recipe.
        new_ids: Tokens whose rows are `new_embeddings`.
    """

    def __init__(
        self,
        backend: Backend,
        phases: Sequence[FreezePhase],
        new_ids: Sequence[int],
    ) -> None:
        self._phases = tuple(phases)
        model, optimizer = backend.loss.model, backend.optimizer
        self._optimizer = optimizer
        self._phase: int | None = None
        self._new_ids = torch.tensor(sorted(new_ids), dtype=torch.int64)
        self._decay = [group["weight_decay"] for group in optimizer.param_groups]
        if any(NEW_EMBEDDINGS in phase.trainable for phase in phases) and not len(self._new_ids):
            raise RecipeError(
                "train.freeze: new_embeddings: the tokenizer has no token that the base model does not know"
            )
        embeddings = {id(weight) for weight in embeddings_of(model)}
        learns = learning_phases(model, phases)
        for weight in model.parameters():
            is_embedding = id(weight) in embeddings
            weight.register_hook(self._hook(learns[id(weight)], is_embedding=is_embedding))

    def before_step(self, step: int) -> None:
        """Freeze what does not learn at this step."""
        done_frac = step / self.trainer.plan.num_steps
        self._phase = phase_of(self._phases, done_frac)
        for group, decay in zip(self._optimizer.param_groups, self._decay, strict=True):
            learns = self._phase is None or group[LEARNS][self._phase]
            group[LR_SCALE] = 1.0 if learns else 0.0
            group["weight_decay"] = 0.0 if self._rows_only else decay

    @property
    def _rows_only(self) -> bool:
        return self._phase is not None and learns_rows_only(self._phases[self._phase])

    def _hook(self, learns: tuple[bool, ...], *, is_embedding: bool) -> Any:
        def change(gradient: Tensor) -> Tensor | None:
            if self._phase is None:
                return None
            if not learns[self._phase]:
                return torch.zeros_like(gradient)
            if is_embedding and self._rows_only:
                kept = torch.zeros_like(gradient)
                rows = self._new_ids.to(gradient.device)
                kept[rows] = gradient[rows]
                return kept
            return None

        return change
