"""training_mixture + normalized_documents -> the texts themselves, part by part, in bounded memory.

part of pointers (row_in_part, source, split) ─┐
normalized part of the same name ──────────────┴─▶ batches of (pointers, texts)

Where the recipe masks personal data, this is where it goes: a text that is read through a mixture has none of the
kinds named, whoever reads it. `mask.json` lies in the dump's own artifact, so that another mask is another data version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.quality.pii import PII_VERSION, mask_pii
from tonsai_pipeline.storage.documents import read_batches
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.store import Artifact, Store

DUMPS_NAME = "dumps.json"
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

    dump: str
    pointers: Path
    texts: Path
    mask: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Unique among all parts of all dumps."""
        return f"{self.dump}.{self.pointers.stem}"

    @property
    def mask_id(self) -> str:
        """Names what masking does to the texts; empty if nothing."""
        return f"{','.join(self.mask)}/{PII_VERSION}" if self.mask else ""


class SelectedTexts(NamedTuple):
    """Some documents: their rows in the table of pointers, shape (n,), and their texts."""

    rows: npt.NDArray[np.int64]
    texts: pa.LargeStringArray


def mixture_dumps(
    mixture: Artifact, normalized: Mapping[str, Artifact], store: Store
) -> dict[str, Artifact]:
    """Return the pointers of each dump, in catalog order (that of `normalized`; JSON keeps none).

    Raises:
        DataError: A dump of the mixture is not among the normalized ones.
    """
    dumps = cast("dict[str, dict[str, Any]]", read_json(mixture.path / DUMPS_NAME))
    missing = sorted(set(dumps) - set(normalized))
    if missing:
        raise DataError(
            f"{mixture.path}: dump {missing[0]} has no normalized_documents; run normalize"
        )
    return {dump: store.resolve(dumps[dump]["path"]) for dump in normalized if dump in dumps}


def dump_parts(dump: str, pointers: Artifact, normalized: Artifact) -> list[TextPart]:
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
    mixture: Artifact, normalized: Mapping[str, Artifact], store: Store
) -> list[TextPart]:
    """Return the parts of every dump, in catalog order.

    Raises:
        DataError: A dump of the mixture is not among the normalized ones.
    """
    dumps = mixture_dumps(mixture, normalized, store)
    return [
        part
        for dump, pointers in dumps.items()
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
