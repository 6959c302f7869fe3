"""The numbers of a pilot -> a page of Markdown for a terminal, an asset page and a repository; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tonsai_pipeline.loss_law.effects import MIN_NOISES
from tonsai_pipeline.loss_law.ladder import MIN_STEPS

_NAMES = {
    "size": "exponent of size (a)",
    "text": "exponent of text (b)",
    "repeats": "passes that count (R)",
}


def page(report: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        report: As `summary.py` writes it.
    """
    target = report["target"]
    lines = [
        f"# Pilot of {target['recipe']}",
        "",
        f"{len(report['points'])} runs. The large one: {target['num_parameters']:,} parameters, {target['tokens']:,} tokens.",
        *_short(report["points"]),
        "",
        "## Prediction",
        "",
        *_table(
            ("language", "bits per byte", "80 % interval", "largest small run, from the others"),
            (_predicted(lang, found) for lang, found in report["languages"].items()),
        ),
        "",
        "## What is resolved",
        "",
        *_table(("", "language", "value", "verdict"), _resolved(report["languages"])),
        "",
        "## Runs",
        "",
        *_points(report["points"], list(report["languages"])),
    ]
    return "\n".join(lines) + "\n"


def _short(points: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Say that runs are too short to tell of longer ones, where some are."""
    short = [one["num_steps"] for one in points if one["num_steps"] < MIN_STEPS]
    if not short:
        return ()
    said = f"{len(short)} of them have fewer than {MIN_STEPS:,} steps, {min(short):,} the shortest"
    return "", f"{said}: such runs have hardly begun to learn, and pull the prediction up."


def _predicted(lang: str, found: Mapping[str, Any]) -> Sequence[str]:
    test = found["test"]
    tested = "too few runs"
    if test is not None:
        verdict = "inside" if test["is_inside"] else "OUTSIDE: the interval is widened by as much"
        tested = f"{test['predicted']:.4f}, measured {test['measured']:.4f} ({test['error']:+.1%}, {verdict})"
    predicted = found["predicted"]
    if predicted is None:
        return lang, "none", found["refused"], tested
    return (
        lang,
        f"{predicted['value']:.4f}",
        f"{predicted['low']:.4f}-{predicted['high']:.4f}",
        tested,
    )


def _resolved(languages: Mapping[str, Mapping[str, Any]]) -> Iterable[Sequence[str]]:
    for lang, found in languages.items():
        noise = found["noise"]
        said = (
            "one seed: no effect can be resolved"
            if noise is None
            else f"{found['num_seeds']} seeds"
        )
        yield "seed noise", lang, "-" if noise is None else f"{noise:.2%}", said
        for name, title in _NAMES.items():
            if (value := found.get("law", {}).get(name)) is not None:
                verdict = "resolved" if value["is_resolved"] else "not resolved"
                yield title, lang, _range(value, ".2f"), verdict
        if "law" in found:
            yield _start(lang, found["law"]["start"])
            growth = found["law"]["growth"]
            verdict = "yes" if growth["low"] > 0 else "not told from 0"
            yield "text gains larger networks more (h)", lang, _range(growth, ".2f"), verdict
            yield "misfit of the law", lang, f"{found['law']['residual']:.2%}", ""
        for effect in found["effects"]:
            better = "better" if effect["change"] < 0 else "worse"
            verdict = better if effect["is_resolved"] else f"within {MIN_NOISES:g} x noise"
            yield effect["name"], lang, f"{effect['change']:+.2%}", verdict


def _start(lang: str, start: Mapping[str, float]) -> Sequence[str]:
    """Say from how many tokens on the runs follow a power law, and what a ladder that does would need."""
    verdict = "the ladder follows a power law"
    if start["low"] > 0:
        verdict = f"NOT YET a power law: a ladder from {start['value']:,.0f} {lang} tokens on would predict better"
    return "tokens before the law (S)", lang, _range(start, ",.0f"), verdict


def _range(found: Mapping[str, Any], form: str) -> str:
    """Write a number and its interval."""
    return f"{found['value']:{form}} ({found['low']:{form}}-{found['high']:{form}})"


def _points(points: Sequence[Mapping[str, Any]], languages: Sequence[str]) -> list[str]:
    head = ("point", "parameters", "tokens", "steps", "rate", "decay")
    rows = (
        (
            one["point"],
            f"{one['num_parameters']:,}",
            f"{one['tokens']:,}",
            f"{one['num_steps']:,}",
            f"{one['settings']['lr']:.3g}",
            f"{one['settings']['weight_decay']:.3g}",
            *(f"{one['languages'][lang]['bits_per_byte']:.4f}" for lang in languages),
        )
        for one in points
    )
    return _table((*head, *languages), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
