"""Instruction sets -> instruction_data: conversations of every source, kept or dropped with their reason.

    files of a source ──read_row──▶ conversations ──judge──▶ part-<source>.parquet            CONVERSATIONS
                          └─ rows that are none ──▶ quarantine/part-<source>.parquet          QUARANTINE

Every record is a conversation or a bad row: nothing is lost unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from tonsai_pipeline.catalog.locations import location_of
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.instructions.formats import Message, NotAConversation, read_row
from tonsai_pipeline.lineage import Fields, Stage, Table
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sft import InstructionSource, SftConfig
from tonsai_pipeline.recipe.sources import NormalizeConfig
from tonsai_pipeline.schema import CONVERSATIONS, QUARANTINE
from tonsai_pipeline.stages.read_instructions.judge import judge_all
from tonsai_pipeline.storage.documents import write_part
from tonsai_pipeline.storage.dumps import BadRow, read_dump_file
from tonsai_pipeline.text import NORMALIZER_VERSION

#: Conversations that are judged at a time.
_BATCH = 2000
_EXCERPT_CHARS = 500
#: Dropped conversations shown in the report, by reason.
_EXAMPLES = 3


def read_instructions(
    folder: Path, *, config: SftConfig, normalize: NormalizeConfig, engine: Engine
) -> dict[str, Any]:
    """Read every source; count what was dropped, by source and reason.

    Args:
        folder: The building folder.
        config: The recipe's `sft` section: sources, and which replies are dropped.
        normalize: The recipe's `normalize` section.
        engine: Where sources are read.

    Raises:
        DataError: A source holds no conversation at all; the message says what its rows hold.
        DumpError: A file is missing, or the Hub cannot be reached.
    """
    parts = [
        Part(source.name, _ReadTask(number, source, config, normalize))
        for number, source in enumerate(config.sources)
    ]
    counted = map_parts(engine, _read_source, parts, folder=folder, label="read instructions")
    sources = {part.name: result for part, result in zip(parts, counted, strict=True)}
    return {
        "num_records": sum(one["num_records"] for one in counted),
        "num_kept": sum(one["num_kept"] for one in counted),
        "num_bad_rows": sum(one["num_bad_rows"] for one in counted),
        "sources": {
            name: {
                key: one[key]
                for key in ("num_records", "num_kept", "num_dropped", "num_bad_rows", "license")
            }
            for name, one in sources.items()
        },
        "dropped": {name: one["dropped"] for name, one in sources.items()},
        "bad_rows": {name: one["bad_rows"] for name, one in sources.items()},
        "examples": [row for one in counted for row in one["examples"]],
    }


@dataclass(frozen=True)
class _ReadTask:
    number: int
    source: InstructionSource
    config: SftConfig
    normalize: NormalizeConfig

    @property
    def file(self) -> str:
        return f"part-{self.number:05d}.parquet"


def _read_source(task: _ReadTask, folder: Path) -> dict[str, Any]:
    source = task.source
    bad: list[dict[str, Any]] = []
    dropped: Counter[str] = Counter()
    examples: list[dict[str, Any]] = []
    kept = 0

    def tables() -> Iterator[pa.RecordBatch]:
        nonlocal kept
        read = _conversations(source, bad)
        while batch := list(islice(read, _BATCH)):
            rows, messages = zip(*batch, strict=True)
            judged = judge_all(messages, source, task.config.replies, task.normalize.options())
            for row, one in zip(rows, judged, strict=True):
                kept += one.drop_reason is None
                if one.drop_reason is not None:
                    if dropped[one.drop_reason] < _EXAMPLES:
                        examples.append(_example(source.name, row, one.messages, one.drop_reason))
                    dropped[one.drop_reason] += 1
            made = [one.as_row(source.name, row) for row, one in zip(rows, judged, strict=True)]
            yield pa.RecordBatch.from_pylist(made, schema=CONVERSATIONS)

    num_rows = write_part(folder / task.file, tables(), CONVERSATIONS)
    table = pa.Table.from_pylist(bad, schema=QUARANTINE)
    write_part(folder / "quarantine" / task.file, [table] if bad else [], QUARANTINE)
    if not num_rows:
        first = f"; the first bad row: {bad[0]['reason']}: {bad[0]['detail']}" if bad else ""
        raise DataError(
            f"sft source '{source.name}': {location_of(source)}: no conversation{first}"
        )
    return {
        "num_records": num_rows + len(bad),
        "num_kept": kept,
        "num_dropped": sum(dropped.values()),
        "num_bad_rows": len(bad),
        "license": source.license,
        "dropped": dict(sorted(dropped.items())),
        "bad_rows": dict(sorted(Counter(row["reason"] for row in bad).items())),
        "examples": examples,
    }


def _conversations(
    source: InstructionSource, bad: list[dict[str, Any]]
) -> Iterator[tuple[int, tuple[Message, ...]]]:
    """Yield (row, conversation); rows that are none are noted."""
    for record in read_dump_file(location_of(source), text_column=""):
        if isinstance(record, BadRow):
            bad.append(_bad(source, record.row, record.reason, record.detail, record.excerpt))
            continue
        fields = orjson.loads(record.meta or b"{}")
        try:
            yield record.row, read_row(fields, source.format)
        except NotAConversation as error:
            excerpt = (record.meta or "")[:_EXCERPT_CHARS]
            bad.append(_bad(source, record.row, error.reason, error.detail, excerpt))


def _bad(
    source: InstructionSource, row: int, reason: str, detail: str, excerpt: str
) -> dict[str, Any]:
    return {
        "dump": source.name,
        "file": location_of(source).rpartition("/")[2],
        "row": row,
        "byte_offset": None,
        "reason": reason,
        "detail": detail,
        "excerpt": excerpt,
        "num_rows": 1,
        "lost_bytes": 0,
    }


def _example(
    source: str, row: int, messages: tuple[Message, ...], reason: str
) -> dict[str, str | int]:
    said = " | ".join(f"{one.role}: {one.content}" for one in messages)
    return {"source": source, "row": row, "reason": reason, "conversation": said[:_EXCERPT_CHARS]}


def is_wanted(recipe: Recipe) -> bool:
    """Whether a recipe tunes a model at all."""
    return recipe.sft.is_wanted


STAGE = Stage(
    "instruction_data",
    version=f"1+text{NORMALIZER_VERSION}",
    make=read_instructions,
    fields={
        "config": Fields("sft", only=("sources", "replies")),
        "normalize": Fields("normalize", only=("coeng_da", "duplicate_marks")),
    },
    table=Table(CONVERSATIONS),
    of_recipe=is_wanted,
)
