"""Numbers -> a small picture inside Markdown, for the asset page.

Pictures are stored in Dagster's event log, so they are drawn small: 10-30 kB each.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence

import dagster as dg

_DPI = 80
_BLUE = "#2f5d8a"
_GREY = "#b8c4cf"


def bar_chart(
    values: Mapping[str, float],
    *,
    title: str,
    unit: str,
    targets: Mapping[str, float] | None = None,
) -> dg.MarkdownMetadataValue:
    """Draw horizontal bars, one a name; `targets` adds a pale bar behind each."""
    from matplotlib.figure import Figure

    names = list(values)
    figure = Figure(figsize=(6.4, 0.9 + 0.26 * len(names)), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    if targets is not None:
        axes.barh(
            names,
            [targets.get(name, 0) for name in names],
            color=_GREY,
            height=0.85,
            label="target",
        )
    axes.barh(names, [values[name] for name in names], color=_BLUE, height=0.5, label="realised")
    if targets is not None:
        axes.legend(frameon=False)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    return _picture(figure, title)


def histogram(
    counts: Sequence[float], edges: Sequence[float], *, title: str, unit: str
) -> dg.MarkdownMetadataValue:
    """Draw a histogram from counts (N,) and bin edges (N + 1,)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.6), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.stairs(counts, edges, fill=True, color=_BLUE)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    return _picture(figure, title)


def small_histograms(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    edges: Sequence[float],
    *,
    title: str,
    unit: str,
) -> dg.MarkdownMetadataValue:
    """Draw one small stacked histogram a panel, four to a row, each with a scale of its own.

    Args:
        panels: Panel -> layer -> counts (N,); the layers, at most two, are the same in every panel.
        edges: Bin edges (N + 1,).
        title: Title of the whole.
        unit: Label of the horizontal axis.
    """
    from matplotlib.figure import Figure

    num_rows = -(-len(panels) // 4)
    figure = Figure(figsize=(7.6, 0.7 + 1.25 * num_rows), dpi=_DPI, layout="constrained")
    grid = figure.subplots(num_rows, 4, sharex=True, squeeze=False).ravel()
    for axes, (name, layers) in zip(grid, panels.items(), strict=False):
        below = [0.0] * (len(edges) - 1)
        for colour, (layer, counts) in zip((_BLUE, _GREY), layers.items(), strict=False):
            above = [a + b for a, b in zip(below, counts, strict=True)]
            axes.stairs(above, edges, baseline=below, fill=True, color=colour, label=layer)
            below = above
        axes.set_title(name, fontsize=7)
        axes.tick_params(labelsize=6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(unit, fontsize=8)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=7, frameon=False, loc="outside lower right", ncols=2)
    return _picture(figure, title)


def line_chart(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str, x: str, y: str
) -> dg.MarkdownMetadataValue:
    """Draw lines, each a name with its x and y values."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.0), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    for name, (xs, ys) in lines.items():
        axes.plot(xs, ys, label=name)
    axes.legend(frameon=False)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return _picture(figure, title)


def heat_map(
    rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], *, title: str
) -> dg.MarkdownMetadataValue:
    """Draw a matrix of numbers with row and column names; each cell shows its number."""
    from matplotlib.figure import Figure

    # A title needs some width, whatever the number of columns.
    size = (max(5.0, 2.2 + 0.55 * len(columns)), 1.6 + 0.32 * len(rows))
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.imshow(values, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=60, ha="right", fontsize=7)
    axes.set_yticks(range(len(rows)), rows, fontsize=7)
    darkest = max((value for line in values for value in line), default=0)
    for i, line in enumerate(values):
        for j, value in enumerate(line):
            if value:
                ink = "white" if value > darkest / 2 else "black"
                axes.text(j, i, f"{value:.3g}", ha="center", va="center", fontsize=6, color=ink)
    axes.set_title(title, fontsize=10)
    return _picture(figure, title.replace("\n", " "))


def _picture(figure: object, title: str) -> dg.MarkdownMetadataValue:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})  # pyright: ignore[reportAttributeAccessIssue]
    data = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{data})")
