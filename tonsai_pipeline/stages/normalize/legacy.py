"""A batch of raw documents -> the same with text in legacy fonts converted, and the pages that were refused.

    text + meta (fonts, pages) ──convert_documents──▶ text, meta["legacy"] | reason     pages ──▶ rejected rows, counts, samples

What a reader noted about the raw text alone (where its fonts and pages begin) stays with the raw documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.schema import REJECTED_DOCUMENTS
from tonsai_pipeline.text.legacy import (
    Conversion,
    FontTable,
    Layout,
    Page,
    convert_documents,
    legacy_meta,
    parse_table,
)

#: Pages shown side by side.
_NUM_SAMPLES = 10
_SAMPLE_CHARS = 600
#: Fields of `meta` that count characters of the raw text.
_OF_RAW_TEXT = ("fonts", "font_runs", "page_starts")


@dataclass
class LegacyCounts:
    """What became of the text in legacy fonts.

    Args:
        num_converted: Documents with converted text.
        num_pages: Pages with text in a legacy font.
        converted_by_family: Pages converted.
        refused_by_reason: Pages refused.
        num_bytes_converted: Text of the converted pages, UTF-8.
        samples: Some pages before and after, with scores.
    """

    num_converted: int = 0
    num_pages: int = 0
    converted_by_family: Counter[str] = field(default_factory=Counter)
    refused_by_reason: Counter[str] = field(default_factory=Counter)
    num_bytes_converted: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list)

    def count(self, doc_id: str, found: Conversion) -> None:
        """Add a document."""
        self.num_converted += bool(found.families)
        self.num_pages += len(found.pages)
        self.converted_by_family.update(found.families)
        self.refused_by_reason.update(found.refused)
        self.num_bytes_converted += sum(len(page.after.encode()) for page in found.pages)
        for page in found.pages[: max(0, _NUM_SAMPLES - len(self.samples))]:
            self.samples.append(_sample(doc_id, page))

    def as_json(self) -> dict[str, Any]:
        """Return plain values, keys in order, so that a report is the same bytes each time."""
        return {
            name: dict(sorted(value.items())) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }

    def add(self, other: Mapping[str, Any]) -> None:
        """Add the counts of another part."""
        self.num_converted += other["num_converted"]
        self.num_pages += other["num_pages"]
        self.converted_by_family.update(other["converted_by_family"])
        self.refused_by_reason.update(other["refused_by_reason"])
        self.num_bytes_converted += other["num_bytes_converted"]
        self.samples = [*self.samples, *other["samples"]][:_NUM_SAMPLES]


def read_tables(paths: Sequence[Path | str]) -> tuple[FontTable, ...]:
    """Read the tables of a recipe.

    Raises:
        RecipeError: A file cannot be read, or is no table; the line is named.
    """
    tables = []
    for path in map(Path, paths):
        try:
            tables.append(parse_table(path.read_text("utf-8"), name=str(path)))
        except (OSError, ValueError) as error:
            raise RecipeError(f"legacy_tables: {path}: {error}") from error
    return tuple(tables)


def convert_legacy(
    raw: pa.RecordBatch, tables: Sequence[FontTable], counts: LegacyCounts
) -> tuple[pa.RecordBatch, pa.StringArray, pa.Table]:
    """Convert a batch of raw documents.

    Returns:
        The batch with other texts and metas; for each document why it is rejected whole, or null; rejected pages.
    """
    texts, metas = raw.column("text").to_pylist(), raw.column("meta").to_pylist()
    reasons: list[str | None] = [None] * len(texts)
    pages: list[dict[str, Any]] = []
    layouts = [layout_of(meta) for meta in metas]
    for row, found in enumerate(convert_documents(texts, layouts, tables=tables)):
        if found is None:
            continue
        doc_id = raw.column("doc_id")[row].as_py()
        counts.count(doc_id, found)
        pages += [_rejected(doc_id, page) for page in found.pages if page.reason is not None]
        if not found.text.strip() and found.refused:
            reasons[row] = Counter(found.refused).most_common(1)[0][0]
            continue
        texts[row] = found.text
        fields = orjson.loads(metas[row] or "{}")
        metas[row] = orjson.dumps({**fields, "legacy": legacy_meta(found, tables)}).decode()
    columns = {"text": pa.array(texts, pa.large_string()), "meta": pa.array(metas, pa.string())}
    arrays = [columns.get(name, raw.column(name)) for name in raw.schema.names]
    refused = pa.Table.from_pylist(pages, schema=REJECTED_DOCUMENTS)
    batch = pa.RecordBatch.from_arrays(arrays, schema=raw.schema)
    return batch, pa.array(reasons, pa.string()), refused


def without_layout(metas: pa.Array) -> pa.Array:
    """Drop from each `meta` what counts characters of the raw text."""
    return pa.array([_plain(meta) for meta in metas.to_pylist()], pa.string())


def _plain(meta: str | None) -> str | None:
    if layout_of(meta) is None:
        return meta
    fields = orjson.loads(meta or "{}")
    return orjson.dumps({k: v for k, v in fields.items() if k not in _OF_RAW_TEXT}).decode()


def layout_of(meta: str | None) -> Layout | None:
    """Return the fonts and pages that a reader noted, None where it noted none."""
    if meta is None or '"font_runs":' not in meta:
        return None
    fields = orjson.loads(meta)
    found = [fields.get(name) for name in _OF_RAW_TEXT]
    return Layout(*found) if all(isinstance(one, list) for one in found) else None


def _rejected(doc_id: str, page: Page) -> dict[str, Any]:
    detail = orjson.dumps(page.scores.as_dict()).decode()
    return {
        "doc_id": doc_id,
        "reason": page.reason,
        "text": page.before,
        "page": page.number,
        "detail": detail,
    }


def _sample(doc_id: str, page: Page) -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "page": page.number,
        "reason": page.reason,
        **page.scores.as_dict(),
        "before": page.before[:_SAMPLE_CHARS],
        "after": page.after[:_SAMPLE_CHARS],
    }
