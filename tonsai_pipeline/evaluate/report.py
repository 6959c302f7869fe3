"""Results -> one HTML page for people: offline, printable, pictures and the Khmer font inside; pure.

    Results, loss curve ──tables, bars──▶ templates/report.html.j2 ──▶ report.html

Nothing that a model wrote can break out of its box: it is text, never markup.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from tonsai_pipeline.evaluate.bits_per_byte import BitsPerByte
from tonsai_pipeline.evaluate.corpus import corpus_tables
from tonsai_pipeline.evaluate.gate import overall
from tonsai_pipeline.evaluate.results import Results
from tonsai_pipeline.evaluate.suite_run import answer_of
from tonsai_pipeline.metrics.bootstrap import Estimate
from tonsai_pipeline.metrics.suite import KINDS

#: Generations shown side by side: more models do not fit a page.
_MAX_SHOWN = 2
_HEALTH = {
    "empty_frac": "empty",
    "khmer_frac": "Khmer letters",
    "replacement_frac": "with bytes that are no UTF-8",
    "invalid_cluster_frac": "clusters that no word has",
    "stable_frac": "left alone by the normalizer",
    "zwsp_frac": "with zero-width spaces",
    "distinct_4": "distinct 4-grams",
    "longest_repeat_frac": "longest repeat",
    "loop_frac": "loops",
    "right_language_frac": "in the prompt's script",
    "ended_frac": "ended by the model",
}


def html(results: Results, *, curve: bytes | None = None) -> str:
    """Render the page.

    Args:
        results: Everything measured.
        curve: PNG of the training run; None leaves it out.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tonsai_pipeline.evaluate"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"estimate": _estimate, "percent": _percent, "signed": _signed}
    return environment.get_template("report.html.j2").render(
        r=results,
        fonts=font_faces(),
        num_items=len(results.items),
        curve=None if curve is None else _data(curve, "image/png"),
        verdict=overall(results.verdicts) if results.verdicts else None,
        bits=_bits_table(results),
        suite=_suite_table(results),
        health=_health_table(results),
        health_names=_HEALTH,
        generations=_generations(results),
        corpus=corpus_tables(results.corpus),
        facts=_facts(results.training),
    )


def _bits_table(results: Results) -> list[dict[str, Any]]:
    """Rows of (texts, language, group), with a cell for each model, and how long the bars are."""
    rows = []
    for row in results.models[0].bits_per_byte:
        key = _part_of(row)
        cells = [
            next((cell for cell in model.bits_per_byte if _part_of(cell) == key), None)
            for model in results.models
        ]
        longest = max(cell.bits_per_byte.high for cell in cells if cell) or 1.0
        widths = [round(100 * cell.bits_per_byte.value / longest) if cell else 0 for cell in cells]
        rows.append({"row": row, "cells": cells, "widths": widths})
    return rows


def _part_of(row: BitsPerByte) -> tuple[str, ...]:
    return row.texts, row.language, row.by, row.group


def _suite_table(results: Results) -> list[dict[str, Any]]:
    """Rows of kinds, with a cell for each model; clean and dirty items beside, where some are dirty."""
    rows = []
    for kind in KINDS:
        cells = [next((s for s in model.suite if s.kind == kind), None) for model in results.models]
        if any(cells):
            first = next(cell for cell in cells if cell is not None)
            clean, dirty = (
                next((s for s in part if s.kind == kind), None)
                for part in (results.models[0].suite_clean, results.models[0].suite_dirty)
            )
            rows.append({"kind": first, "cells": cells, "clean": clean, "dirty": dirty})
    return rows


def _health_table(results: Results) -> list[dict[str, Any]]:
    """A row for the corpus of each language, then for every model and kind of text."""
    rows = [
        {"name": f"held-out text, {language}", "values": values}
        for language, values in results.corpus_health.items()
    ]
    for model in results.models:
        rows += [
            {"name": f"{model.name}: {kind}", "values": values}
            for kind, values in model.health.items()
        ]
    return rows


def _generations(results: Results) -> list[dict[str, Any]]:
    """What up to two models wrote, side by side, after each prompt."""
    shown = results.models[:_MAX_SHOWN]
    rows = []
    for place, item in enumerate(results.items):
        found = [model.items[place] for model in shown]
        if found and found[0].texts:
            texts = [
                {
                    "text": answer_of(item, one.texts[0].text),
                    "score": one.score,
                    "ended": one.texts[0].ended,
                }
                for one in found
            ]
            rows.append({"item": item, "texts": texts})
    return rows


def _facts(training: Mapping[str, Any]) -> dict[str, str]:
    """Name what a reader asks first about a run."""
    if not training:
        return {}
    seconds = training["train_s"]
    return {
        "parameters": f"{training['num_parameters']:,}",
        "steps": f"{training['step']:,}",
        "tokens": f"{training['tokens']:,}",
        "training time": f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds:.0f} s",
        "tokens per second": f"{training['tokens'] / max(seconds, 1e-9):,.0f}",
        "processes": f"{training['world_size']} x {training['device']}",
        "precision": str(training["precision"]),
        "backend": f"{training['backend']}, ZeRO {training['zero_stage']}",
    }


def font_faces() -> Markup:
    """Return the style rules of the Khmer font (SIL Open Font License, beside its files), fonts inside."""
    folder = resources.files("tonsai_pipeline.text") / "fonts"
    names = {400: "NotoSansKhmer-Regular.woff2", 700: "NotoSansKhmer-Bold.woff2"}
    rules = [
        f'@font-face {{ font-family: "Tonsai Khmer"; font-weight: {weight}; '
        f'src: url({_data((folder / name).read_bytes(), "font/woff2")}) format("woff2"); '
        "unicode-range: U+1780-17FF, U+19E0-19FF, U+200B-200D, U+25CC; }"
        for weight, name in names.items()
    ]
    return Markup("\n".join(rules))  # noqa: S704  # ours


def _data(content: bytes, kind: str) -> str:
    return Markup(f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}")  # noqa: S704  # base64


def _estimate(value: Estimate | None, digits: int = 3) -> str:
    if value is None:
        return "\u2013"
    if value.num_items < 2:
        return f"{value.value:.{digits}f}"  # one document says nothing of others
    return f"{value.value:.{digits}f} ({value.low:.{digits}f}\u2013{value.high:.{digits}f})"


def _percent(value: float | Estimate | None) -> str:
    if value is None:
        return "\u2013"
    if isinstance(value, Estimate):
        return f"{value.value:.1%} ({value.low:.1%}\u2013{value.high:.1%})"
    return f"{value:.1%}"


def _signed(value: Estimate) -> str:
    return f"{value.value:+.3f} ({value.low:+.3f} to {value.high:+.3f})"
