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
from tonsai_pipeline.quality.evaluation import accuracy_by_length, auc, calibration_error
from tonsai_pipeline.quality.features import FEATURES_VERSION
from tonsai_pipeline.quality.form import FORM_VERSION
from tonsai_pipeline.quality.negatives import NEGATIVES_VERSION
from tonsai_pipeline.quality.signals import SIGNALS_VERSION
from tonsai_pipeline.recipe.quality import ClassifierConfig
from tonsai_pipeline.stages.score.examples import KeptDump, gather_examples
from tonsai_pipeline.stages.score.fit import fit_model
from tonsai_pipeline.storage.files import atomic_path, digest_file, write_json
from tonsai_pipeline.storage.store import Artifact, Store

ASSET = "scored_documents.classifier"
TRAINER_VERSION = (
    f"1+features{FEATURES_VERSION}+classifier{CLASSIFIER_VERSION}"
    f"+signals{SIGNALS_VERSION}+form{FORM_VERSION}+negatives{NEGATIVES_VERSION}"
)


def make_classifier(
    language: str,
    dumps: list[KeptDump],
    config: ClassifierConfig,
    *,
    engine: Engine,
    store: Store,
) -> Artifact:
    """Return the classifier of a language, trained only if its examples or settings changed.

    Args:
        language: `khm` or `eng`.
        dumps: Every dump of the corpus.
        config: What to train on, or a ready model.
        engine: Where examples are prepared.
        store: Where the classifier is kept.

    Raises:
        RecipeError: A named source has no dump, or a ready model is not there.
        DataError: One side has too few documents.
    """
    if config.model is not None:
        return _ready_model(language, Path(config.model), config, store=store)
    named = {*config.positives, *config.negatives}
    present = {dump.source for dump in dumps}
    if missing := sorted(named - present):
        raise RecipeError(
            f"quality.classifiers.{language}: {', '.join(missing)}: no dump of that source is there; "
            f"sources with dumps: {', '.join(sorted(present))}"
        )
    chosen = [dump for dump in dumps if dump.source in named]

    def make(folder: Path) -> dict[str, Any]:
        examples = gather_examples(language, chosen, config, folder / ".work", engine=engine)
        return {"language": language, "trained": True, **_train(examples, config, folder)}

    inputs = {
        f"{dump.key}/{kind}": artifact.data_version
        for dump in chosen
        for kind, artifact in (("normalized_documents", dump.normalized), ("keep", dump.keep))
    }
    return store.materialize(
        ASSET,
        language,
        make,
        stage_version=TRAINER_VERSION,
        settings=config.settings(),
        inputs=inputs,
    )


def _ready_model(language: str, path: Path, config: ClassifierConfig, *, store: Store) -> Artifact:
    """Take a ready model into the store, so that a score can be traced to its bytes."""
    if not path.is_file():
        raise RecipeError(f"quality.classifiers.{language}.model: {path}: no such file")

    def make(folder: Path) -> dict[str, Any]:
        with atomic_path(folder / "model.bin") as temporary:
            shutil.copyfile(path, temporary)
        _write_calibration(folder, Calibration(), config)
        return {"language": language, "trained": False, "model": path.name}

    return store.materialize(
        ASSET,
        language,
        make,
        stage_version=TRAINER_VERSION,
        settings={"max_units": config.max_units},
        inputs={"model": digest_file(path)},
    )


def _train(examples: pa.Table, config: ClassifierConfig, folder: Path) -> dict[str, Any]:
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
    _write_calibration(folder, calibration, config)
    scores = calibration.apply(odds)
    return {
        "num_held_out": len(lines),
        "held_out_sources": list(config.held_out),
        "auc": round(auc(scores, good), 4),
        "calibration_error": round(calibration_error(scores, good), 4),
        "auc_by_source": _auc_by_source(scores, good, source),
        "accuracy_by_length": accuracy_by_length(scores, good, num_units),
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


def _write_calibration(folder: Path, calibration: Calibration, config: ClassifierConfig) -> None:
    write_json(
        folder / "calibration.json",
        {**asdict(calibration), "max_units": config.max_units},
    )
