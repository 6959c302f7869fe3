"""Files, Hub data sets and a recipe's held-out documents -> texts that every model is measured on.

{name, lang, path | hub} ──read_dump_file──▶ documents ──normalize──▶ TextSet
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tonsai_pipeline.catalog.locations import location_of
from tonsai_pipeline.errors import DataError, TonsaiError
from tonsai_pipeline.recipe.evaluate import MeasuredText
from tonsai_pipeline.storage.documents import read_batches, read_part
from tonsai_pipeline.storage.dumps import BadRow, read_dump_file
from tonsai_pipeline.text import NormalizeOptions, normalize_batch

#: Bytes of the corpus that generations and items are looked up in, at most.
MAX_CORPUS_BYTES = 2 << 30


class Document(NamedTuple):
    """A text and where it is from."""

    text: str
    language: str
    source: str


@dataclass(frozen=True)
class TextSet:
    """Documents measured under one name."""

    name: str
    documents: tuple[Document, ...]


class CorpusPart(NamedTuple):
    """A part of what a model was trained on: pointers of the mixture, and the normalized documents they point into."""

    pointers: Path
    texts: Path


@dataclass(frozen=True)
class NotMeasured:
    """What a report does not say, and how it could.

    Args:
        name: Of the measure or the set.
        why: What is missing.
        how: What a person can do.
    """

    name: str
    why: str
    how: str


def read_texts(
    wanted: Sequence[MeasuredText], *, max_documents: int, options: NormalizeOptions
) -> tuple[list[TextSet], list[NotMeasured]]:
    """Read sets of texts; one that cannot be read is named, the others are measured.

    Args:
        wanted: The recipe's `evaluate.texts`.
        max_documents: Documents of each set at most, drawn from all of it.
        options: How the corpus was normalized: every model sees the same bytes.
    """
    sets, missing = [], []
    for one in wanted:
        try:
            texts = _texts(one)
        except (TonsaiError, OSError) as error:
            missing.append(NotMeasured(f"bits per byte: {one.name}", str(error), _how(one)))
            continue
        kept = _draw(texts, max_documents)
        canonical = normalize_batch(pa.array(kept, pa.large_string()), options).to_pylist()
        sets.append(
            TextSet(
                one.name, tuple(Document(text, one.lang, one.name) for text in canonical if text)
            )
        )
    return sets, missing


def read_held_out(path: Path) -> TextSet:
    """Read the recipe's held-out documents, as the stage wrote them: `text`, `lang`, `source`."""
    table = read_part(path, ["text", "lang", "source"])
    rows = zip(
        *(table.column(name).to_pylist() for name in ("text", "lang", "source")), strict=True
    )
    return TextSet("held out", tuple(Document(*row) for row in rows))


def read_corpus(parts: Sequence[CorpusPart], *, max_bytes: int) -> Iterator[pa.Array]:
    """Yield the texts that were trained on, a row group at a time, until `max_bytes` were read."""
    left = max_bytes
    for part in parts:
        pointers = read_part(part.pointers, ["row_in_part", "split"])
        rows = pointers.column("row_in_part").to_numpy()
        wanted = rows[np.array(pointers.column("split").to_pylist()) == "train"]
        first = 0
        for batch in read_batches(part.texts, ["text"]):
            if left <= 0:
                return
            low, high = np.searchsorted(wanted, [first, first + batch.num_rows])
            texts = batch.column("text").take(pa.array(wanted[low:high] - first))
            left -= texts.nbytes
            first += batch.num_rows
            yield texts


def _texts(one: MeasuredText) -> list[str]:
    found = []
    for record in read_dump_file(location_of(one), format=one.format, text_column=one.text_column):
        if isinstance(record, BadRow):
            raise DataError(f"{one.name}: row {record.row}: {record.reason}: {record.detail}")
        found.append(record.text)
    if not found:
        raise DataError(f"{one.name}: no texts in it")
    return found


def _how(one: MeasuredText) -> str:
    if one.path is not None:
        return f"put the file at {one.path}, or change evaluate.texts"
    return "accept the set's terms on its Hub page and log in (`hf auth login`), or give a file as `path`"


def _draw(texts: list[str], most: int) -> list[str]:
    """Take `most` texts, evenly from the whole set and not from its start, which may be sorted."""
    if len(texts) <= most:
        return texts
    rows = np.random.default_rng(0).choice(len(texts), most, replace=False)
    return [texts[row] for row in np.sort(rows)]
