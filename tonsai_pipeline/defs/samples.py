"""Documents before and after a stage that chooses or masks, for its page: what leaves and why, and what stays.

pointers into normalized_documents ──text_of──▶ texts ──before_and_after──▶ a table to read

A few dumps are opened for it, and a row group of each, however large the corpus is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from tonsai_pipeline.defs.results import table
from tonsai_pipeline.storage.documents import read_batches, take_batches
from tonsai_pipeline.storage.store import Artifact

#: Rows of the table, and characters of a text in it: two lines of a wide screen.
_NUM_ROWS, EXCERPT_CHARS = 12, 240
#: What stands before the first change in an excerpt.
_BEFORE_CHANGE_CHARS = 60


def before_and_after(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Return the first rows as a table of a page, nothing if there are none; no more are asked for."""
    shown = list(islice(rows, _NUM_ROWS))
    return {"before_and_after": dg.MetadataValue.md(table(header, shown))} if shown else {}


def first_rows(paths: Iterable[Path], num: int) -> list[dict[str, Any]]:
    """Return the first rows of the first part that has any, each with the name of its `part`."""
    for path in paths:
        for batch in read_batches(path):
            if batch.num_rows:
                return [{**row, "part": path.name} for row in batch.slice(0, num).to_pylist()]
    return []


def text_of(normalized: Artifact, part: str, row: int) -> str:
    """Return the text of a normalized document by its place."""
    [batch] = take_batches(normalized.path / part, np.array([row]), ["text"])
    return batch.column("text")[0].as_py()


def excerpts(before: str, after: str) -> tuple[str, str]:
    """Return the stretch of two texts where they begin to differ; their beginnings, if they are the same.

    Example:
        >>> excerpts("a" * 300 + "me@example.org", "a" * 300 + "<email>")[1][-9:]
        'aa<email>'
    """
    pairs = enumerate(zip(before, after, strict=False))
    same = next((index for index, (a, b) in pairs if a != b), min(len(before), len(after)))
    if before == after:
        return before[:EXCERPT_CHARS], after[:EXCERPT_CHARS]
    # From a space on, if there is one near: a Khmer letter is several characters.
    near = max(0, same - 2 * _BEFORE_CHANGE_CHARS)
    start = before.rfind(" ", near, max(0, same - _BEFORE_CHANGE_CHARS)) + 1 or near
    return before[start : start + EXCERPT_CHARS], after[start : start + EXCERPT_CHARS]
