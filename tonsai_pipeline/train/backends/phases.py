"""Phases of a run -> which parameters learn at a step; the others keep their values to the last bit.

    step ──phase_of──▶ phase        parameters ──learning_phases──▶ groups of the optimizer, one a pattern of phases

Nothing is taken out of the optimizer, so ZeRO divides the same state in every phase, and a run resumed in any of
them goes on exactly: the phase follows from the step alone. A frozen phase costs as much time as another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

from torch import nn
from transformers import PreTrainedModel

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.continual import FreezePhase

EMBEDDINGS, NEW_EMBEDDINGS = "embeddings", "new_embeddings"

#: Key of an optimizer group: factor of its rate in the current step.
LR_SCALE = "lr_scale"
#: Key of an optimizer group: its rate as a factor of the others', throughout the run.
OWN_SCALE = "own_scale"
#: Key of an optimizer group: for each phase, whether its parameters learn.
LEARNS = "learns"


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
    embeddings = {id(weight) for weight in embeddings_of(model)}
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


def group_key(learns: tuple[bool, ...]) -> dict[str, object]:
    """Return what an optimizer group remembers of its phases."""
    return {LEARNS: learns, LR_SCALE: 1.0} if learns else {}


def rate_of(group: Mapping[str, Any], lr: float) -> float:
    """Return the rate of a group of the optimizer, where the schedule says `lr`."""
    return lr * group.get(OWN_SCALE, 1.0) * group.get(LR_SCALE, 1.0)


def _learns(name: str, is_embedding: bool, phase: FreezePhase) -> bool:
    if is_embedding and {EMBEDDINGS, NEW_EMBEDDINGS} & set(phase.trainable):
        return True
    return any(fnmatchcase(name, pattern) for pattern in phase.trainable)


def learns_rows_only(phase: FreezePhase) -> bool:
    """Whether, of the embeddings, only the rows of new tokens learn."""
    return NEW_EMBEDDINGS in phase.trainable and EMBEDDINGS not in phase.trainable


def embeddings_of(model: PreTrainedModel) -> list[nn.Parameter]:
    """Return the input and the output layer's weights; one where they are the same."""
    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    return [cast("nn.Parameter", layer.weight) for layer in layers if layer is not None]
