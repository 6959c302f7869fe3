"""Examples -> a fastText model, its calibration, and what it was measured at; or a ready model, taken over.

examples ──one thread, one seed──▶ model.bin
    └─ held out ─────────────────▶ calibration.json, evaluation.json
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.lineage import Fields, Stage, every_dump
from tonsai_pipeline.quality.classifier import (
    BAD,
    CLASSIFIER_VERSION,
    GOOD,
    Calibration,
    calibrate,
    evidence,
    num_units_of,
    raw_scores,
    telling_features,
)
from tonsai_pipeline.quality.evaluation import (
    accuracy_by_length,
    auc,
    calibration_error,
    quantile_by_weight,
)
from tonsai_pipeline.quality.features import FEATURES_VERSION
from tonsai_pipeline.quality.form import FORM_VERSION
from tonsai_pipeline.quality.negatives import NEGATIVES_VERSION
from tonsai_pipeline.quality.signals import SIGNALS_VERSION
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.quality import ClassifierConfig
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.stages.train_classifiers.examples import KeptDump, gather_examples
from tonsai_pipeline.stages.train_classifiers.fit import fit_model
from tonsai_pipeline.storage.files import atomic_path, write_json
from tonsai_pipeline.storage.store import Artifact

#: Documents shown on each side of the line that `max_lost_frac` draws.
_NUM_BESIDE = 5


def train_classifiers(
    normalized: Mapping[DumpKey, Artifact],
    kept: Mapping[DumpKey, Artifact],
    folder: Path,
    *,
    classifiers: Mapping[str, ClassifierConfig],
    engine: Engine,
) -> dict[str, Any]:
    """Train the classifier of each language that has one, or take over a ready model.

    Args:
        normalized: normalized_documents of the sources that are examples, by dump.
        kept: Their final keep-lists.
        folder: The building folder; gets a folder a language.
        classifiers: The recipe's `quality.classifiers`.
        engine: Where examples are prepared.

    Returns:
        By language, how its classifier was measured.

    Raises:
        RecipeError: A named source has no dump.
        DataError: One side has too few documents.
    """
    dumps = [KeptDump(key, artifact, kept[key]) for key, artifact in normalized.items()]
    report: dict[str, Any] = {}
    for language, config in sorted(classifiers.items()):
        place = folder / language
        (place / ".work").mkdir(parents=True, exist_ok=True)
        if config.model is not None:
            report[language] = _take_over(config, config.model, place)
            continue
        examples = gather_examples(
            language,
            _dumps_of(dumps, language, config),
            config,
            folder / ".work" / language,
            engine=engine,
        )
        report[language] = {"trained": True, **train_on(examples, config, place)}
    return report


def example_sources(recipe: Recipe) -> set[str]:
    """Return the sources whose documents are examples for a classifier."""
    chosen = recipe.quality.classifiers.values()
    return {name for config in chosen for name in (*config.positives, *config.negatives)}


def _dumps_of(dumps: list[KeptDump], language: str, config: ClassifierConfig) -> list[KeptDump]:
    named = {*config.positives, *config.negatives}
    if missing := sorted(named - {dump.source for dump in dumps}):
        raise RecipeError(
            f"quality.classifiers.{language}: {', '.join(missing)}: no dump of that source is there; "
            "add one, or name another source"
        )
    return [dump for dump in dumps if dump.source in named]


def _take_over(config: ClassifierConfig, model: Path, folder: Path) -> dict[str, Any]:
    """Take a ready model into the artifact, so that a score can be traced to its bytes."""
    with atomic_path(folder / "model.bin") as temporary:
        shutil.copyfile(model, temporary)
    _write_calibration(folder, Calibration(), config, 0.0)
    return {"trained": False}


def train_on(examples: pa.Table, config: ClassifierConfig, folder: Path) -> dict[str, Any]:
    """Train on examples (`EXAMPLES`), calibrate and measure on those held out; write model and numbers to a folder."""
    held_out = examples.column("held_out")
    trained = examples.filter(pc.call_function("invert", [held_out]))
    held = examples.filter(held_out)
    lines = folder / ".work" / "train.txt"
    _write_lines(trained, lines)
    with atomic_path(folder / "model.bin") as path:
        fit_model(lines, path, _fasttext_settings(config))
    model = fasttext.load_model(str(folder / "model.bin"))
    report = {"num_trained": trained.num_rows, **_measure(model, held, config, folder)}
    write_json(folder / "evaluation.json", report)
    return report


def _write_lines(examples: pa.Table, path: Path) -> None:
    """Write the examples in the order of their hashes; lines without a word teach nothing."""
    good, lines = (examples.column(name).to_pylist() for name in ("good", "line"))
    with path.open("w", encoding="utf-8") as stream:
        for is_good, line in zip(good, lines, strict=True):
            if line:
                stream.write(f"{GOOD if is_good else BAD} {line}\n")


def _fasttext_settings(config: ClassifierConfig) -> dict[str, float]:
    return {
        "dim": config.dim,
        "wordNgrams": config.word_ngrams,
        "bucket": config.num_buckets,
        "epoch": config.num_epochs,
        "lr": config.lr,
        "minCount": config.min_count,
        "seed": config.seed,
    }


def _measure(model: Any, held: pa.Table, config: ClassifierConfig, folder: Path) -> dict[str, Any]:
    """Calibrate on the documents held out, and say how well the model does on them."""
    lines = held.column("line").to_pylist()
    good = held.column("good").to_numpy()
    source = np.array(held.column("source").to_pylist(), dtype=object)
    num_units = num_units_of(lines)
    odds = evidence(raw_scores(model, lines), held.column("form").to_numpy(), num_units)
    calibration = calibrate(odds, good)
    scores = calibration.apply(odds)
    border = _border(scores, held, config.max_lost_frac)
    _write_calibration(folder, calibration, config, border["min_score"])
    return {
        "num_held_out": len(lines),
        "held_out_sources": list(config.held_out),
        "auc": round(auc(scores, good), 4),
        "calibration_error": round(calibration_error(scores, good), 4),
        "auc_by_source": _auc_by_source(scores, good, source),
        "accuracy_by_length": accuracy_by_length(scores, good, num_units),
        "border": border,
        "telling_features": telling_features(model),
    }


def _auc_by_source(
    scores: npt.NDArray[np.float32], good: npt.NDArray[np.bool_], source: npt.NDArray[np.object_]
) -> Mapping[str, dict[str, float]]:
    """Return the AUC of each good source against each bad one."""
    table: dict[str, dict[str, float]] = {}
    for positive in sorted(set(source[good])):
        for negative in sorted(set(source[~good])):
            chosen = (source == positive) | (source == negative)
            table.setdefault(positive, {})[negative] = round(auc(scores[chosen], good[chosen]), 4)
    return table


def _border(
    scores: npt.NDArray[np.float32], held: pa.Table, max_lost_frac: float
) -> dict[str, Any]:
    """Return the least score at which good documents lose at most that share of their bytes, and what lies beside it."""
    good = held.column("good").to_numpy()
    num_bytes = held.column("num_bytes").to_numpy()
    min_score = 0.0
    if max_lost_frac:
        min_score = quantile_by_weight(scores[good], num_bytes[good], max_lost_frac)
    order = np.argsort(scores, kind="stable")
    at = int(np.searchsorted(scores[order], min_score))
    sides = {"below": order[max(0, at - _NUM_BESIDE) : at], "above": order[at : at + _NUM_BESIDE]}
    rows = {side: held.take(pa.array(chosen)).to_pylist() for side, chosen in sides.items()}
    return {
        "min_score": round(min_score, 6),
        "lost_frac": round(
            float(num_bytes[good & (scores < min_score)].sum() / num_bytes[good].sum()), 6
        ),
        "junk_kept_frac": round(float((scores[~good] >= min_score).mean()), 6),
        **{
            side: [
                {
                    "score": round(float(score), 4),
                    **{name: row[name] for name in ("source", "good", "excerpt")},
                }
                for score, row in zip(scores[sides[side]], rows[side], strict=True)
            ]
            for side in sides
        },
    }


def _write_calibration(
    folder: Path, calibration: Calibration, config: ClassifierConfig, min_score: float
) -> None:
    write_json(
        folder / "calibration.json",
        {**asdict(calibration), "max_units": config.max_units, "min_score": min_score},
    )


STAGE = Stage(
    "quality_classifiers",
    version=(
        f"3+features{FEATURES_VERSION}+classifier{CLASSIFIER_VERSION}"
        f"+signals{SIGNALS_VERSION}+form{FORM_VERSION}+negatives{NEGATIVES_VERSION}"
    ),
    make=train_classifiers,
    fields={"classifiers": Fields("quality.classifiers")},
    reads={
        "normalized": every_dump("normalized_documents", of=example_sources),
        "kept": every_dump("kept_documents_of_dump", of=example_sources),
    },
)
