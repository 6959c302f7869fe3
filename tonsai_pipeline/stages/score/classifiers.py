"""Documents of the sources named good and bad -> a fastText model, its calibration, and what it was measured at.

    kept documents ──features──▶ examples/*.parquet ──sort by hash──▶ one thread, one seed ──▶ model.bin
                                       └─ held out ──▶ calibration.json, evaluation.json

A tenth of every source, and whole sources on wish, are held out.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.quality.classifier import (
    BAD,
    CLASSIFIER_VERSION,
    GOOD,
    Calibration,
    calibrate,
    raw_scores,
    telling_features,
)
from tonsai_pipeline.quality.evaluation import accuracy_by_length, auc, calibration_error
from tonsai_pipeline.quality.features import FEATURES_VERSION, features
from tonsai_pipeline.recipe.quality import ClassifierConfig
from tonsai_pipeline.stages.score.parts import kept_batches, rules_language
from tonsai_pipeline.storage.documents import count_rows, read_part, write_part
from tonsai_pipeline.storage.files import atomic_path, digest_file, write_json
from tonsai_pipeline.storage.store import Artifact, Store

ASSET = "scored_documents.classifier"
TRAINER_VERSION = f"1+features{FEATURES_VERSION}+classifier{CLASSIFIER_VERSION}"
_HELD_OUT_IN_TEN = 1
_EXAMPLES = pa.schema(
    [
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("good", pa.bool_(), nullable=False),
        pa.field("held_out", pa.bool_(), nullable=False),
        pa.field("line", pa.large_string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class KeptDump:
    """A dump and its keep-list.

    Args:
        key: Dump key.
        normalized: normalized_documents.
        keep: Its keep-list.
    """

    key: str
    normalized: Artifact
    keep: Artifact

    @property
    def source(self) -> str:
        """Name of the source."""
        return self.key.split("@")[0]


def make_classifier(
    language: str,
    dumps: list[KeptDump],
    config: ClassifierConfig,
    *,
    engine: Engine,
    store: Store,
) -> Artifact:
    """Return the classifier of a language, trained only if its examples or settings changed.

    Raises:
        RecipeError: A named source is unknown or has no documents, or a ready model cannot be read.
        DataError: One side has too few documents to train on.
    """
    if config.model is not None:
        return _ready_model(language, Path(config.model), config, store=store)
    named = {*config.positives, *config.negatives}
    missing = sorted(named - {dump.source for dump in dumps})
    if missing:
        raise RecipeError(
            f"quality.classifiers.{language}: {', '.join(missing)}: no dump of that source is there; "
            f"sources with dumps: {', '.join(sorted({dump.source for dump in dumps}))}"
        )
    chosen = [dump for dump in dumps if dump.source in named]
    inputs = {
        f"{dump.key}/{kind}": artifact.data_version
        for dump in chosen
        for kind, artifact in (("normalized_documents", dump.normalized), ("keep", dump.keep))
    }
    return store.materialize(
        ASSET,
        language,
        lambda folder: _train(language, chosen, config, folder, engine=engine),
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


@dataclass(frozen=True)
class _ExampleTask:
    normalized: Path
    keep: Path
    source: str
    language: str
    config: ClassifierConfig
    border: int


def _train(
    language: str, dumps: list[KeptDump], config: ClassifierConfig, folder: Path, *, engine: Engine
) -> dict[str, Any]:
    work = folder / ".work"
    borders = {side: _border(dumps, side, config) for side in (config.positives, config.negatives)}
    parts = [
        Part(
            f"{dump.key}-{path.stem}",
            _ExampleTask(
                path,
                dump.keep.path / path.name,
                dump.source,
                language,
                config,
                borders[config.positives if dump.source in config.positives else config.negatives],
            ),
        )
        for dump in dumps
        for path in dump.normalized.parts()
    ]
    map_parts(engine, _write_examples, parts, folder=work, label=f"examples {language}")
    tables = [read_part(work / f"{part.name}.parquet") for part in parts]
    examples = pa.concat_tables([_EXAMPLES.empty_table(), *tables]).sort_by("hash")
    _check_sides(language, examples)
    model = _fit(examples.filter(pc.invert(examples.column("held_out"))), config, work)
    model.save_model(str(work / "model.bin"))
    held = examples.filter(examples.column("held_out"))
    report = _measure(model, held, config, folder)
    (work / "model.bin").replace(folder / "model.bin")
    write_json(folder / "evaluation.json", report)
    return {
        "language": language,
        "trained": True,
        "num_trained": examples.num_rows - held.num_rows,
        **report,
    }


def _border(dumps: list[KeptDump], side: tuple[str, ...], config: ClassifierConfig) -> int:
    """Return the hash below which documents of a side are taken, so that about `max_documents` are."""
    total = sum(
        count_rows(path) for dump in dumps if dump.source in side for path in dump.keep.parts()
    )
    return min(2**64, 2**64 * config.max_documents // max(total, 1))


def _write_examples(task: _ExampleTask, folder: Path) -> dict[str, Any]:
    """Write the examples of one part."""
    config = task.config
    good = task.source in config.positives
    tables = []
    for batch, _, _ in kept_batches(task.normalized, task.keep, ("doc_id", "text", "lang")):
        ids = batch.column("doc_id").to_pylist()
        hashes = [xxhash.xxh3_64_intdigest(doc_id.encode(), seed=config.seed) for doc_id in ids]
        # Good examples are of the language; what is not wanted may be anything (a legacy font looks Latin).
        chosen = [
            row
            for row, (hashed, lang) in enumerate(
                zip(hashes, batch.column("lang").to_pylist(), strict=True)
            )
            if hashed < task.border and (not good or rules_language(lang) == task.language)
        ]
        lines = features(
            batch.column("text").take(pa.array(chosen, pa.int64())), max_units=config.max_units
        )
        held = [
            task.source in config.held_out or (hashes[row] >> 8) % 10 < _HELD_OUT_IN_TEN
            for row in chosen
        ]
        table = {
            "hash": pa.array([hashes[row] for row in chosen], pa.uint64()),
            "source": pa.array([task.source] * len(chosen), pa.string()),
            "good": pa.array([good] * len(chosen), pa.bool_()),
            "held_out": pa.array(held, pa.bool_()),
            "line": pa.array(lines, pa.large_string()),
        }
        tables.append(pa.table(table))
    name = f"{task.normalized.parent.parent.name}-{task.normalized.stem}.parquet"
    write_part(folder / name, tables, _EXAMPLES)
    return {"num_examples": sum(table.num_rows for table in tables)}


def _check_sides(language: str, examples: pa.Table) -> None:
    good = examples.column("good").to_numpy()
    held = examples.column("held_out").to_numpy()
    for name, side in (("positives", good), ("negatives", ~good)):
        for what, chosen in (("to train on", side & ~held), ("held out", side & held)):
            if chosen.sum() < 2:
                raise DataError(
                    f"quality.classifiers.{language}: {name} have {int(chosen.sum())} documents {what}; "
                    "name more sources, or larger ones"
                )


def _fit(examples: pa.Table, config: ClassifierConfig, work: Path) -> Any:
    """Train on the examples, in the order of their hashes; one thread and a seed make it repeatable."""
    path = work / "train.txt"
    with path.open("w", encoding="utf-8") as stream:
        for good, line in zip(
            examples.column("good").to_pylist(), examples.column("line").to_pylist(), strict=True
        ):
            stream.write(f"{GOOD if good else BAD} {line}\n")
    return fasttext.train_supervised(
        input=str(path),
        dim=config.dim,
        wordNgrams=config.word_ngrams,
        bucket=config.num_buckets,
        epoch=config.num_epochs,
        lr=config.lr,
        minCount=config.min_count,
        seed=config.seed,
        thread=1,
        verbose=0,
    )


def _measure(model: Any, held: pa.Table, config: ClassifierConfig, folder: Path) -> dict[str, Any]:
    """Calibrate on the documents held out, and say how well the model does on them."""
    lines = held.column("line").to_pylist()
    good = held.column("good").to_numpy()
    source = np.array(held.column("source").to_pylist(), dtype=object)
    odds = raw_scores(model, lines)
    calibration = calibrate(odds, good)
    _write_calibration(folder, calibration, config)
    scores = calibration.apply(odds)
    lengths = np.array([line.count(" ") + 1 for line in lines])
    return {
        "num_held_out": len(lines),
        "held_out_sources": list(config.held_out),
        "auc": round(auc(scores, good), 4),
        "calibration_error": round(calibration_error(scores, good), 4),
        "auc_by_source": _auc_by_source(scores, good, source),
        "accuracy_by_length": accuracy_by_length(scores, good, lengths),
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
        {"slope": calibration.slope, "offset": calibration.offset, "max_units": config.max_units},
    )
