"""Phases of a run -> which parameters learn at a step; the others keep their values to the last bit.

    step ──phase_of──▶ phase ──▶ gradients of the rest are zero, and so is their rate

Nothing is taken out of the optimizer, so ZeRO divides the same state in every phase, and a run resumed in any of
them goes on exactly: the phase follows from the step alone. A frozen phase costs as much time as another.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.continual import FreezePhase

EMBEDDINGS, NEW_EMBEDDINGS = "embeddings", "new_embeddings"

#: Key of an optimizer group: factor of its rate in the current step.
LR_SCALE = "lr_scale"
#: Key of an optimizer group: for each phase, whether its parameters learn.
_LEARNS = "learns"


def phase_of(phases: Sequence[FreezePhase], done_frac: float) -> int | None:
    """Return the number of the phase that a step belongs to; None after the last one.

    Example:
        >>> phases = [
        ...     FreezePhase(until_frac=0.1, trainable=("embeddings",)),
        ...     FreezePhase(until_frac=0.3, trainable=("*",)),
        ... ]
        >>> [phase_of(phases, done) for done in (0.0, 0.1, 0.29, 0.3)]
        [0, 1, 1, None]
    """
    return next((n for n, phase in enumerate(phases) if done_frac < phase.until_frac), None)


def learning_phases(
    model: PreTrainedModel, phases: Sequence[FreezePhase]
) -> dict[int, tuple[bool, ...]]:
    """Return for each parameter (by `id`) in which phases it learns.

    Raises:
        RecipeError: A phase names no parameter of this network.
    """
    embeddings = {id(weight) for weight in _embeddings(model)}
    names = dict(model.named_parameters())
    for phase in phases:
        for pattern in phase.trainable:
            known = pattern in (EMBEDDINGS, NEW_EMBEDDINGS)
            if not known and not any(fnmatchcase(name, pattern) for name in names):
                raise RecipeError(
                    f"train.freeze: {pattern}: no parameter of this network has such a name; it has {', '.join(list(names)[:6])} ..."
                )
    return {
        id(weight): tuple(_learns(name, id(weight) in embeddings, phase) for phase in phases)
        for name, weight in names.items()
    }


class Freezer:
    """Makes a network and its optimizer learn what the phase of a step lets learn.

    Args:
        model: The network, in its engine.
        optimizer: Its groups were made with the same phases, see `optimizer.parameter_groups`.
        phases: Of the recipe.
        new_ids: Tokens whose rows are `new_embeddings`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        optimizer: torch.optim.Optimizer,
        phases: Sequence[FreezePhase],
        new_ids: Sequence[int],
    ) -> None:
        self._phases = tuple(phases)
        self._optimizer = optimizer
        self._phase: int | None = None
        self._new_ids = torch.tensor(sorted(new_ids), dtype=torch.int64)
        self._decay = [group["weight_decay"] for group in optimizer.param_groups]
        if any(NEW_EMBEDDINGS in phase.trainable for phase in phases) and not len(self._new_ids):
            raise RecipeError(
                "train.freeze: new_embeddings: the tokenizer has no token that the base model does not know"
            )
        embeddings = {id(weight) for weight in _embeddings(model)}
        learns = learning_phases(model, phases)
        for weight in model.parameters():
            is_embedding = id(weight) in embeddings
            weight.register_hook(self._hook(learns[id(weight)], is_embedding=is_embedding))

    def begin(self, done_frac: float) -> None:
        """Prepare for a step.

        Args:
            done_frac: Fraction of all tokens seen before it.
        """
        self._phase = phase_of(self._phases, done_frac)
        for group, decay in zip(self._optimizer.param_groups, self._decay, strict=True):
            learns = self._phase is None or group[_LEARNS][self._phase]
            group[LR_SCALE] = 1.0 if learns else 0.0
            group["weight_decay"] = 0.0 if self._rows_only else decay

    @property
    def _rows_only(self) -> bool:
        return self._phase is not None and _rows_only(self._phases[self._phase])

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


def group_key(learns: tuple[bool, ...]) -> dict[str, object]:
    """Return what an optimizer group remembers of its phases."""
    return {_LEARNS: learns, LR_SCALE: 1.0} if learns else {}


def _learns(name: str, is_embedding: bool, phase: FreezePhase) -> bool:
    if is_embedding and {EMBEDDINGS, NEW_EMBEDDINGS} & set(phase.trainable):
        return True
    return any(fnmatchcase(name, pattern) for pattern in phase.trainable)


def _rows_only(phase: FreezePhase) -> bool:
    return NEW_EMBEDDINGS in phase.trainable and EMBEDDINGS not in phase.trainable


def _embeddings(model: PreTrainedModel) -> list[nn.Parameter]:
    """Return the input and the output layer's weights; one where they are the same."""
    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    return [cast("nn.Parameter", layer.weight) for layer in layers if layer is not None]
