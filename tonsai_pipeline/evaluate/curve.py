"""metrics.jsonl records -> a PNG of the run: losses on the left, bits per byte on the right; pure."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: One colour a language wherever it is drawn; told apart by colour-blind readers too (Okabe and Ito 2008).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_GREY = "#9a9a9a"


def loss_curve(records: Iterable[Mapping[str, Any]]) -> bytes | None:
    """Draw a run.

    Args:
        records: Of kinds `train` and `validation`; others are ignored.

    Returns:
        PNG bytes, or None when there is nothing to draw.
    """
    train = [r for r in records if r["kind"] == "train" and r["loss"] is not None]
    validation = [r for r in records if r["kind"] == "validation"]
    if not train or not validation:
        return None
    figure = Figure(figsize=(10, 3.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(
        [r["step"] for r in train], [r["loss"] for r in train], color=_GREY, lw=1, label="training"
    )
    languages = [name for name in validation[0] if name not in ("kind", "step")]
    for colour, language in zip(_COLOURS, languages, strict=False):
        _draw(left, validation, language, "loss", colour)
        _draw(right, validation, language, "bits_per_byte", colour)
    left.set_ylabel("loss (nats per token)")
    right.set_ylabel("held-out bits per byte")
    for axes in (left, right):
        axes.set_xlabel("optimizer step")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    stream = io.BytesIO()
    # No date inside: equal runs give equal bytes.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _draw(
    axes: Axes, records: list[Mapping[str, Any]], language: str, name: str, colour: str
) -> None:
    steps = [r["step"] for r in records if language in r]
    values = [r[language][name] for r in records if language in r]
    axes.plot(steps, values, color=colour, marker="o", ms=3, lw=1.5, label=f"{language}, held out")
