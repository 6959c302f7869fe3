"""Artifact -> what Dagster shows of it: data version, numbers, tables and samples for the eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.report_page import page_url, say_number, write_page
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Artifact

#: Which number of a report counts its rows, the first that is there.
_ROW_COUNTS = ("num_kept", "num_rows", "num_documents")
#: Longer lists in a cell of a table are only counted: what a picture was drawn from.
_MAX_LISTED = 8


def materialized(
    artifact: Artifact,
    *,
    data_version: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    checks: Sequence[dg.AssetCheckResult] = (),
) -> dg.MaterializeResult:
    """Turn an artifact into a materialization.

    Numbers of the stage's report become plottable metadata, its mappings tables, its samples Markdown.

    Args:
        artifact: What the stage made, or found finished.
        data_version: What Dagster compares; None for that of the artifact's bytes.
        metadata: More entries, typically plots; they come first, and before a number of the same name.
        checks: Results of the asset's checks.
    """
    timings = artifact.timings or {}
    entries: dict[str, Any] = dict(metadata or {})
    # What a page shows itself, it shows better than this can.
    shown = [name for name in artifact.report if name not in entries]
    entries |= {name: _entry(artifact.report[name]) for name in shown}
    # What stays, where something is dropped: such a table has a row for every document, and a mark on those that leave.
    counts = (artifact.report[name] for name in _ROW_COUNTS if name in artifact.report)
    if (num_rows := next(counts, None)) is not None:
        entries["dagster/row_count"] = int(num_rows)
    entries |= {
        "cached": artifact.cached,
        "path": dg.MetadataValue.path(str(artifact.folder)),
        "size_bytes": artifact.manifest.num_bytes,
        "num_files": len(artifact.manifest.files),
        "fingerprint": artifact.manifest.fingerprint[:16],
    }
    if timings:
        entries["elapsed_s"] = round(timings["elapsed_s"], 3)
        entries["peak_memory_mb"] = round(timings["peak_memory_bytes"] / 1e6, 1)
        if (size := artifact.report.get("num_bytes")) and timings["elapsed_s"] > 0:
            entries["mb_per_s"] = round(size / 1e6 / timings["elapsed_s"], 2)
    write_page(Layout.of_artifact(artifact.folder).root, artifact.place, entries, checks)
    return dg.MaterializeResult(
        metadata={"page": dg.MetadataValue.url(page_url(artifact.place)), **entries},
        check_results=list(checks),
        data_version=dg.DataVersion(data_version or artifact.data_version),
        tags={"tonsai/cache": "hit" if artifact.cached else "miss"},
    )


def check(
    name: str,
    passed: bool,
    description: str,
    *,
    warn: bool = False,
    **facts: float | str,
) -> dg.AssetCheckResult:
    """Return a check result; `warn` makes a failure a warning, which stops nothing."""
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        check_name=name,
        passed=bool(passed),
        severity=severity,
        description=description,
        metadata=facts,
    )


def _entry(value: Any) -> Any:
    """Choose the form in which Dagster shows a JSON value best."""
    if value is None or isinstance(value, bool | int | float | str):
        return dg.MetadataValue.null() if value is None else value
    if isinstance(value, Mapping):
        if value and all(isinstance(v, int | float) for v in value.values()):
            return dg.MetadataValue.md(
                table(["", "number"], [[k, say_number(k, v)] for k, v in value.items()])
            )
        if value and all(isinstance(v, Mapping) for v in value.values()):
            return dg.MetadataValue.md(_nested_table(value))
    if isinstance(value, Sequence) and value and all(isinstance(row, Mapping) for row in value):
        header = list(value[0])
        return dg.MetadataValue.md(
            table(header, [[row.get(k, "") for k in header] for row in value])
        )
    return dg.MetadataValue.json(value)


def _nested_table(value: Mapping[str, Mapping[str, Any]]) -> str:
    header = list(dict.fromkeys(key for row in value.values() for key in row))
    return table(
        ["", *header], [[name, *(row.get(k, "") for k in header)] for name, row in value.items()]
    )


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table, numbers to the right; cells are shortened and kept on one line."""
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    lines = [
        "| " + " | ".join(header) + " |",
        "|" + "".join(" ---: |" if _are_numbers(column) else " --- |" for column in columns),
    ]
    lines += [
        "| " + " | ".join(_cell(*cell) for cell in zip(header, row, strict=True)) + " |"
        for row in rows
    ]
    return "\n".join(lines)


def _are_numbers(column: Sequence[Any]) -> bool:
    said = [value for value in column if value is not None and value != ""]
    return bool(said) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in said
    )


def _cell(name: str, value: Any) -> str:
    """Say a value of a table: numbers with the unit of their name, what is in a mapping by its names."""
    return _said(name, value).replace("|", "\\|").replace("\n", " ⏎ ")[:400]


def _said(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return say_number(name, value)
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_said(key, v)}" for key, v in value.items())
    if len(value) > _MAX_LISTED:
        return f"{len(value):,} values"
    return ", ".join(_said(name, one) for one in value)
