"""mixture_documents + normalized_documents -> the texts themselves, part by part, in bounded memory.

part of pointers (row_in_part, source, split) ─┐
normalized part of the same name ──────────────┴─▶ batches of (pointers, texts)

Where the recipe masks personal data, this is where it goes: a text that is read through a mixture has none of the
kinds named, whoever reads it. `mask.json` lies in the dump's own artifact, so that another mask is another data version.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.lineage import Stage, same_dump
from tonsai_pipeline.quality.pii import mask_pii
from tonsai_pipeline.schema import CHOSEN_DOCUMENTS, DumpKey
from tonsai_pipeline.storage.documents import read_batches, read_part, write_part
from tonsai_pipeline.storage.files import atomic_path, read_json
from tonsai_pipeline.storage.store import Artifact

SHARES_NAME = "shares.json"
#: Kinds of personal data that are masked in the texts of a dump; missing: none.
MASK_NAME = "mask.json"


@dataclass(frozen=True)
class TextPart:
    """One part of a dump, as pointers and as text.

    Args:
        dump: Key of the dump.
        pointers: Part of MIXTURE_DOCUMENTS.
        texts: Normalized part of the same name.
        mask: Kinds of personal data that are masked when the texts are read.
    """

    dump: DumpKey
    pointers: Path
    texts: Path
    mask: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Unique among all parts of all dumps."""
        return f"{self.dump}.{self.pointers.stem}"


class SelectedTexts(NamedTuple):
    """Some documents: their rows in the table of pointers, shape (n,), and their texts."""

    rows: npt.NDArray[np.int64]
    texts: pa.LargeStringArray


def dump_parts(dump: DumpKey, pointers: Artifact, normalized: Artifact) -> list[TextPart]:
    """Pair the parts of a dump.

    Raises:
        DataError: A part of pointers has no text.
    """
    texts = {path.name: path for path in normalized.parts()}
    mask = _mask(pointers)
    parts = []
    for path in pointers.parts():
        if path.name not in texts:
            raise DataError(
                f"{path}: {normalized.path} has no part of that name; materialize training_mixture again"
            )
        parts.append(TextPart(dump, path, texts[path.name], mask))
    return parts


def _mask(pointers: Artifact) -> tuple[str, ...]:
    """Return the kinds of personal data that are masked in the texts of a dump."""
    path = pointers.path / MASK_NAME
    return tuple(cast("dict[str, Any]", read_json(path))["kinds"]) if path.is_file() else ()


def mixture_parts(
    mixed: Mapping[DumpKey, Artifact], normalized: Mapping[DumpKey, Artifact]
) -> list[TextPart]:
    """Return the parts of every dump of a mixture, in catalog order.

    Args:
        mixed: The chosen documents by dump.
        normalized: normalized_documents of the same dumps.
    """
    return [
        part
        for dump, pointers in mixed.items()
        for part in dump_parts(dump, pointers, normalized[dump])
    ]


def read_texts(
    part: TextPart, row_in_part: npt.NDArray[np.integer], rows: npt.NDArray[np.int64] | None = None
) -> Iterator[SelectedTexts]:
    """Fetch the texts of selected documents, one row group of the normalized part at a time.

    Args:
        part: The part.
        row_in_part: Rows of the normalized part, ascending, for every document of the pointers.
        rows: Which of those documents are wanted, ascending; None for all.

    Yields:
        Documents with their texts, in order.

    Raises:
        DataError: A pointer leads past the end of the normalized part.
    """
    rows = np.arange(len(row_in_part)) if rows is None else rows
    wanted = np.asarray(row_in_part, dtype=np.int64)[rows]
    first = done = 0
    for batch in read_batches(part.texts, ["text"]):
        stop = int(np.searchsorted(wanted, first + batch.num_rows))
        if stop > done:
            indices = pa.array(wanted[done:stop] - first)
            texts = batch.column("text").take(indices)
            yield SelectedTexts(rows[done:stop], mask_pii(texts, part.mask))
        done, first = stop, first + batch.num_rows
    if done < len(wanted):
        raise DataError(
            f"{part.pointers}: row {int(wanted[done])} of {part.texts} is wanted, which has {first} rows; "
            "materialize training_mixture again"
        )


def choose_documents(mixed: Artifact, folder: Path, *, engine: Engine) -> dict[str, int]:
    """Write which texts of a dump are read, without shares, splits and repeats: what tokenizing depends on.

    Args:
        mixed: The dump's mixture_documents.
        folder: The building folder; gets the rows of each part, and `mask.json` if something is masked.
        engine: Not used: pointers are small.
    """
    del engine
    num_documents = 0
    for path in mixed.parts():
        rows = read_part(path, CHOSEN_DOCUMENTS.names)
        num_documents += write_part(folder / path.name, [rows], CHOSEN_DOCUMENTS)
    if (mixed.path / MASK_NAME).is_file():
        with atomic_path(folder / MASK_NAME) as temporary:
            shutil.copyfile(mixed.path / MASK_NAME, temporary)
    return {"num_documents": num_documents}


CHOSEN = Stage(
    "chosen_documents",
    version="1",
    make=choose_documents,
    each_dump=True,
    part_of="training_mixture",
    reads={"mixed": same_dump("mixture_documents")},
)
