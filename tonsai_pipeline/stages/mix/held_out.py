"""mixture_documents + normalized_documents -> the held-out documents as text: what models of any tokenizer are measured on.

pointers with split "validation" ──read_texts──▶ held_out.parquet: text, lang, source
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from tonsai_pipeline.schema import HELD_OUT_TEXTS, Split
from tonsai_pipeline.stages.mix.texts import TextPart, read_texts
from tonsai_pipeline.storage.documents import read_part, write_part


def write_held_out(parts: Sequence[TextPart], path: Path, *, max_documents: int) -> int:
    """Write the held-out documents, the first `max_documents` of each source, and return their number.

    The split follows from a document's text, so the first ones are a fair sample.

    Raises:
        DataError: The mixture points to documents that are not there.
    """
    taken: Counter[str] = Counter()

    def tables() -> Iterator[pa.Table]:
        for part in parts:
            pointers = read_part(part.pointers, ["row_in_part", "source", "lang", "split"])
            sources = pointers.column("source").to_pylist()
            held_out = np.array(pointers.column("split").to_pylist()) == Split.VALIDATION
            rows = []
            for row in np.flatnonzero(held_out).tolist():
                taken[sources[row]] += 1
                if taken[sources[row]] <= max_documents:
                    rows.append(row)
            chosen = np.array(rows, dtype=np.int64)
            for found in read_texts(part, pointers.column("row_in_part").to_numpy(), chosen):
                own = pointers.take(pa.array(found.rows))
                yield pa.table(
                    {
                        "text": found.texts,
                        "lang": own.column("lang"),
                        "source": own.column("source"),
                    }
                )

    return write_part(path, tables(), HELD_OUT_TEXTS)
