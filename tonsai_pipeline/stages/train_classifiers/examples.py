"""Kept documents of the sources named good and bad -> examples: feature lines with their truth, in hash order.

    part ──features, form──▶ examples/<dump>-<part>.parquet ──sort by hash──▶ one table

A tenth of every source, and whole sources where the recipe says so, are marked as held out.
"""

# pyarrow.compute makes its functions when it is loaded; no checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.quality.features import features
from tonsai_pipeline.quality.form import form_log_odds
from tonsai_pipeline.quality.negatives import imitate_junk
from tonsai_pipeline.quality.signals import measure
from tonsai_pipeline.recipe.quality import ClassifierConfig
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.stages.score.parts import kept_batches, rules_language
from tonsai_pipeline.storage.documents import count_rows, read_part, write_part
from tonsai_pipeline.storage.store import Artifact

EXAMPLES = pa.schema(
    [
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("good", pa.bool_(), nullable=False),
        pa.field("held_out", pa.bool_(), nullable=False),
        pa.field("form", pa.float64(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("line", pa.large_string(), nullable=False),
        pa.field("excerpt", pa.large_string(), nullable=False),
    ]
)
_HELD_OUT_IN_TEN = 1
_EXCERPT_CHARS = 200
#: Source of the examples that `quality.negatives` makes.
IMITATED = "imitated"


@dataclass(frozen=True)
class KeptDump:
    """A dump and its keep-list.

    Args:
        key: Dump key.
        normalized: normalized_documents.
        keep: Its keep-list.
    """

    key: DumpKey
    normalized: Artifact
    keep: Artifact

    @property
    def source(self) -> str:
        """Name of the source."""
        return self.key.source


@dataclass(frozen=True)
class _ExampleTask:
    output: str
    normalized: Path
    keep: Path
    source: str
    language: str
    config: ClassifierConfig
    border: int


def gather_examples(
    language: str,
    dumps: list[KeptDump],
    config: ClassifierConfig,
    folder: Path,
    *,
    engine: Engine,
) -> pa.Table:
    """Return the examples of a classifier in the order of their hashes, schema `EXAMPLES`.

    Args:
        language: `khm` or `eng`.
        dumps: Dumps of the sources that `config` names.
        config: Which are good, which bad, how many.
        folder: Working folder.
        engine: Where parts are read.

    Raises:
        DataError: One side has too few documents to train on or to measure with.
    """
    borders = {
        True: _border(dumps, config.positives, config),
        False: _border(dumps, config.negatives, config),
    }
    tasks = [
        _ExampleTask(
            output=f"{dump.key}-{path.stem}",
            normalized=path,
            keep=dump.keep.path / path.name,
            source=dump.source,
            language=language,
            config=config,
            border=borders[dump.source in config.positives],
        )
        for dump in dumps
        for path in dump.normalized.parts()
    ]
    parts = [Part(task.output, task) for task in tasks]
    map_parts(engine, _write_examples, parts, folder=folder, label=f"examples {language}")
    tables = [read_part(folder / f"{task.output}.parquet") for task in tasks]
    examples = pa.concat_tables([EXAMPLES.empty_table(), *tables]).sort_by("hash")
    _check_sides(language, examples)
    return examples


def _border(dumps: list[KeptDump], side: tuple[str, ...], config: ClassifierConfig) -> int:
    """Return the hash below which documents of a side are taken, so that about `max_documents` are."""
    parts = [path for dump in dumps if dump.source in side for path in dump.keep.parts()]
    total = sum(count_rows(path) for path in parts)
    return min(2**64, 2**64 * config.max_documents // max(total, 1))


def _write_examples(task: _ExampleTask, folder: Path) -> dict[str, Any]:
    """Write the examples of one part."""
    columns = ("doc_id", "text", "lang")
    batches = kept_batches(task.normalized, task.keep, columns)
    tables = [_example_table(batch, task) for batch, _, _ in batches]
    write_part(folder / f"{task.output}.parquet", tables, EXAMPLES)
    return {"num_examples": sum(table.num_rows for table in tables)}


def _example_table(batch: pa.Table, task: _ExampleTask) -> pa.Table:
    config = task.config
    good = task.source in config.positives
    rows, hashes = [], []
    for row, (doc_id, language) in enumerate(
        zip(batch.column("doc_id").to_pylist(), batch.column("lang").to_pylist(), strict=True)
    ):
        hashed = xxhash.xxh3_64_intdigest(doc_id.encode(), seed=config.seed)
        # Good examples are of the language; the others may be anything: a legacy font looks Latin.
        if hashed < task.border and (not good or rules_language(language) == task.language):
            rows.append(row)
            hashes.append(hashed)
    texts = batch.column("text").take(pa.array(rows, pa.int64()))
    return examples_of(texts, hashes, task.source, config)


def examples_of(
    texts: pa.Array | pa.ChunkedArray, hashes: list[int], source: str, config: ClassifierConfig
) -> pa.Table:
    """Return the examples that texts of a source give, and their imitations; schema `EXAMPLES`.

    Args:
        texts: Normalized texts.
        hashes: A hash of each: decides the order, and what is held out.
        source: A positive or a negative of `config`.
        config: How they are prepared.
    """
    good, whole = source in config.positives, source in config.held_out
    found = _rows(texts, hashes, source, config, good=good, whole=whole)
    if not (good and config.imitations):
        return found
    fakes = pa.array(imitate_junk(texts.to_pylist(), config.seed), pa.large_string())
    return pa.concat_tables(
        [found, _rows(fakes, hashes, IMITATED, config, good=False, whole=whole)]
    )


def _rows(
    texts: pa.Array | pa.ChunkedArray,
    hashes: list[int],
    source: str,
    config: ClassifierConfig,
    *,
    good: bool,
    whole: bool,
) -> pa.Table:
    """Return examples of one truth; an imitation is held out where its original is."""
    return pa.table(
        {
            "hash": pa.array(hashes, pa.uint64()),
            "source": pa.array([source] * len(hashes), pa.string()),
            "good": pa.array([good] * len(hashes), pa.bool_()),
            "held_out": pa.array(
                [whole or (h >> 8) % 10 < _HELD_OUT_IN_TEN for h in hashes], pa.bool_()
            ),
            "form": pa.array(form_log_odds(measure(texts))),
            "num_bytes": pc.binary_length(texts).cast(pa.int64()),
            "excerpt": pc.utf8_slice_codeunits(texts, 0, _EXCERPT_CHARS),
            "line": pa.array(features(texts, max_units=config.max_units), pa.large_string()),
        }
    )


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
