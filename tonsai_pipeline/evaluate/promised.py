"""The prediction that a recipe names, and what was measured -> the two side by side.

prediction.json (`tonsai pilot`), status.json, bits per byte ──▶ Promised
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.evaluate.bits_per_byte import BitsPerByte
from tonsai_pipeline.loss_law.promise import Kept, kept, promise_of
from tonsai_pipeline.storage.files import read_json

#: How the recipe's own held-out documents are called among the sets of texts.
_HELD_OUT = "held out"


@dataclass(frozen=True)
class Promised:
    """A prediction and what came of it.

    Args:
        pilot: Names the small runs that it follows from.
        languages: Predicted and measured, by language.
        problem: Why nothing is compared; empty where it is.
    """

    pilot: str
    languages: Sequence[Kept]
    problem: str = ""


def compare_with_promise(
    path: Path, training: Mapping[str, Any], rows: Sequence[BitsPerByte]
) -> Promised:
    """Put a prediction beside what was measured.

    Args:
        path: The prediction.
        training: The training run's `status.json`.
        rows: Bits per byte of the model.

    Raises:
        DataError: The file is no prediction.
    """
    try:
        promise = promise_of(read_json(path))
    except ValueError as error:
        raise DataError(f"evaluate.prediction: {path}: {error}") from error
    measured = {
        row.language: row.bits_per_byte.value
        for row in rows
        if row.texts == _HELD_OUT and row.by == "all"
    }
    try:
        lines = kept(
            promise,
            num_parameters=training["num_parameters"],
            tokens=training["tokens"],
            measured=measured,
        )
    except ValueError as error:
        return Promised(promise.pilot, (), str(error))
    return Promised(promise.pilot, lines)
