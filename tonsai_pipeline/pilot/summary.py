"""Finished points of a pilot -> the law of each language, what is resolved, and the prediction, as an artifact.

point.json each ──fit──▶ pilot.json (all numbers), pilot.md (for people), prediction.json (the promise)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tonsai_pipeline.errors import ManifestError
from tonsai_pipeline.loss_law.effects import effects, seed_noise
from tonsai_pipeline.loss_law.ladder import Point, center_of
from tonsai_pipeline.loss_law.law import Fit, Run, fit
from tonsai_pipeline.loss_law.promise import Promise
from tonsai_pipeline.pilot.page import page
from tonsai_pipeline.pilot.points import Pilot, result_of, run_of, tokens_read
from tonsai_pipeline.planner.network import shape_of
from tonsai_pipeline.storage.files import digest_json, write_bytes, write_json
from tonsai_pipeline.storage.manifest import fingerprint
from tonsai_pipeline.storage.store import Artifact

REPORT, PREDICTION_NAME, PAGE_NAME = "pilot_report", "prediction.json", "pilot.md"
_VERSION = "5"


def summarize(pilot: Pilot, points: Sequence[Point] | None = None) -> Artifact:
    """Fit the law and write the prediction.

    Args:
        pilot: The pilot.
        points: Those that were run; None for all.

    Raises:
        ManifestError: A point is not run.
    """
    chosen = pilot.points if points is None else points
    found = {point: pilot.find(point) for point in chosen}
    if missing := [point.name for point, artifact in found.items() if artifact is None]:
        raise ManifestError(
            f"{len(missing)} of {len(chosen)} points of the pilot are not run, {missing[0]} first: tonsai pilot --recipe "
            f"{pilot.builder.recipe.name}"
        )
    artifacts = {point: artifact for point, artifact in found.items() if artifact is not None}
    recipe, rows, tokens = pilot.builder.recipe, pilot.rows, pilot.num_tokens
    shape = shape_of(recipe.model, vocab_size=rows.vocab_size, seq_len=rows.seq_len)
    target = {
        "recipe": recipe.name,
        "num_parameters": shape.num_parameters,
        "num_weights": shape.active_weights,
        "tokens": tokens,
        "languages": {lang: list(n) for lang, n in tokens_read(pilot.shards, tokens).items()},
    }
    versions = {point.name: artifact.data_version for point, artifact in artifacts.items()}

    def make(folder: Path) -> dict[str, Any]:
        results = {point: result_of(artifact) for point, artifact in artifacts.items()}
        return _write(folder, target, results, digest_json(versions))

    return pilot.builder.store.materialize(
        REPORT,
        None,
        fingerprint(REPORT, None, _VERSION, target, versions),
        make,
        stage_version=_VERSION,
        settings=target,
        inputs=versions,
        made_from=[artifact.place for artifact in artifacts.values()],
    )


def _write(
    folder: Path,
    target: Mapping[str, Any],
    results: Mapping[Point, Mapping[str, Any]],
    digest: str,
) -> dict[str, Any]:
    report = {
        "target": dict(target),
        "points": [dict(result) for result in results.values()],
        "languages": {lang: _language(lang, target, results) for lang in target["languages"]},
    }
    promised = {
        lang: found["predicted"]
        for lang, found in report["languages"].items()
        if found["predicted"] is not None
    }
    report["has_prediction"] = bool(promised)
    write_json(folder / "pilot.json", report)
    write_bytes(folder / PAGE_NAME, page(report).encode())
    if promised:
        promise = Promise(
            target["recipe"], target["num_parameters"], target["tokens"], promised, digest
        )
        write_json(folder / PREDICTION_NAME, promise.as_dict())
    return report


def _language(
    lang: str, target: Mapping[str, Any], results: Mapping[Point, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return all that is said of a language: the law, its test, the prediction, effects and noise."""
    ladder = {point: run_of(result, lang) for point, result in results.items() if point.of_ladder}
    tokens, unique = target["languages"][lang]
    center = center_of(results)
    own = [
        run.bits_per_byte
        for point, run in ladder.items()
        if (point.size, point.text, point.length) == (center.size, center.text, 1.0)
    ]
    screens = {
        point.screen: result["languages"][lang]["bits_per_byte"]
        for point, result in results.items()
        if point.screen
    }
    found: dict[str, Any] = {
        "noise": seed_noise(own),
        "num_seeds": len(own),
        "effects": [asdict(one) for one in effects(own, screens)],
        "predicted": None,
        "refused": "",
        "test": _test(ladder),
    }
    try:
        law = fit(list(ladder.values()))
        found["law"] = _law(law)
        predicted = law.predict(Run(target["num_weights"], unique, tokens))
        test = found["test"]
        # A law that fails on a run next to its own says less of one that is farther away.
        missed = abs(test["error"]) if test is not None and not test["is_inside"] else 0.0
        found["predicted"] = asdict(predicted.widened(missed))
    except ValueError as error:
        found["refused"] = str(error)
    return found


def _law(law: Fit) -> dict[str, Any]:
    names = ("size", "text", *(("repeats",) if law.has_repeats else ()))
    found = {name: law.exponent(name) for name in names}
    return {
        "residual": law.residual,
        "start": asdict(law.start),
        "growth": asdict(law.growth),
        **{name: {**asdict(value), "is_resolved": ok} for name, (value, ok) in found.items()},
    }


def _test(ladder: Mapping[Point, Run]) -> dict[str, Any] | None:
    """Predict the dearest point from the others; None where they are too few."""
    last = max(ladder, key=lambda point: ladder[point].num_weights * ladder[point].tokens)
    others = [run for point, run in ladder.items() if point != last]
    try:
        predicted = fit(others).predict(ladder[last])
    except ValueError:
        return None
    measured = ladder[last].bits_per_byte
    return {
        "point": last.name,
        "predicted": predicted.value,
        "measured": measured,
        "error": measured / predicted.value - 1.0,
        "is_inside": predicted.holds(measured),
    }
