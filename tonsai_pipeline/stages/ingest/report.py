"""Counts of a dump's chunks -> its report, and what a person reads of it.

Counts ──make_report──▶ IngestReport ──say_empty, say_losses──▶ the messages of the checks
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonsai_pipeline.stages.ingest.chunks import Counts, File
from tonsai_pipeline.storage.dumps.records import PAGE_KINDS, SKIP_REASONS

#: Files whose counts are listed in the report; more than that nobody reads.
_MAX_LISTED_FILES = 500
_MAX_NAMED_LOSSES = 5


@dataclass(frozen=True)
class IngestReport:
    """What was found in one dump. Bytes are UTF-8 bytes of text, raw bytes those of the files.

    `pages_by_kind` counts the pages of PDFs. `losses` are stretches of files that were lost beside single bad rows, worst first; `max_lost_frac` is the
    largest share of one file that was, None if a file was cut and nobody can know.
    """

    num_documents: int
    num_bytes: int
    num_bad_rows: int
    num_skipped: int
    bad_by_reason: Mapping[str, int]
    skipped_by_reason: Mapping[str, int]
    fields_left_out: Mapping[str, int]
    pages_by_kind: Mapping[str, int]
    num_files: int
    num_raw_bytes: int | None
    files: Sequence[Mapping[str, Any]]
    max_lost_frac: float | None
    losses: Sequence[Mapping[str, Any]]
    samples: Sequence[Mapping[str, Any]]
    bad_samples: Sequence[Mapping[str, Any]]

    @property
    def bad_frac(self) -> float:
        """Share of rows that could not be read; 0 for an empty dump."""
        return self.num_bad_rows / max(1, self.num_documents + self.num_bad_rows)


def make_report(
    files: Sequence[File], sizes: Sequence[int | None], results: Sequence[Mapping[str, Any]]
) -> IngestReport:
    """Add up the counts of all groups of files; sizes are those of the files as stored, None if unknown."""
    total = Counts(next_file=0)
    for result in results:
        total.add(result)
    names = ("num_documents", "num_bytes", "num_bad_rows")
    counts = [total.by_file.get(str(file.index), [0] * 5) for file in files]
    fracs = [
        _lost_frac(found[3], found[4], size) for found, size in zip(counts, sizes, strict=True)
    ]
    listed = [
        {"name": file.name, **dict(zip(names, found, strict=False)), "lost_frac": frac}
        for file, found, frac in zip(files, counts, fracs, strict=True)
    ][:_MAX_LISTED_FILES]
    losses = [{**loss, "lost_frac": fracs[loss.pop("file_index")]} for loss in total.losses]
    losses.sort(key=lambda loss: -_order(loss["lost_frac"]))
    return IngestReport(
        num_documents=total.num_documents,
        num_bytes=total.num_bytes,
        num_bad_rows=sum(total.bad_by_reason.values()),
        num_skipped=sum(total.skipped.values()),
        bad_by_reason=dict(sorted(total.bad_by_reason.items())),
        skipped_by_reason=dict(sorted(total.skipped.items())),
        fields_left_out=dict(sorted(total.left_out.items())),
        pages_by_kind={kind: total.pages[kind] for kind in PAGE_KINDS if total.pages[kind]},
        num_files=len(files),
        num_raw_bytes=None if None in sizes else sum(size or 0 for size in sizes),
        files=listed,
        max_lost_frac=max(fracs, key=_order, default=0.0),
        losses=losses,
        samples=total.samples,
        bad_samples=total.bad_samples,
    )


def _lost_frac(lost_bytes: int, num_unknown: int, num_bytes: int | None) -> float | None:
    """Return the share of a file that was lost; None if it cannot be known."""
    if num_unknown or (lost_bytes and not num_bytes):
        return None
    return min(1.0, lost_bytes / num_bytes) if num_bytes else 0.0


def _order(lost_frac: float | None) -> float:
    """Order shares: the unknown is the worst."""
    return math.inf if lost_frac is None else lost_frac


def say_empty(report: Mapping[str, Any]) -> str:
    """Say why a dump has no document: what its records were, and the way out."""
    bad, skipped = report["bad_by_reason"], report["skipped_by_reason"]
    if not bad and not skipped:
        return "the files hold no records; check the source's path and format"
    found = [f"{count:,} bad rows ({reason})" for reason, count in bad.items()]
    found += [f"{count:,} skipped ({SKIP_REASONS[reason]})" for reason, count in skipped.items()]
    way_out = "mend the files" if bad else "change the source's `where` or its files"
    return (
        f"no document: {', '.join(found)}; {way_out} and run again, or switch the dump off: "
        "tonsai dumps remove"
    )


def say_losses(report: Mapping[str, Any], max_lost_frac: float) -> str:
    """Say which files lost more than single rows, where, and how much."""
    losses = report["losses"]
    if not losses:
        return "every file was read to its end"
    named = [
        f"{loss['file']}: {_say_share(loss['lost_frac'])} at row {loss['row']:,}"
        f"{'' if loss['byte_offset'] is None else ', byte {:,}'.format(loss['byte_offset'])} "
        f"({loss['reason']}: {loss['detail']})"
        for loss in losses[:_MAX_NAMED_LOSSES]
    ]
    more = f"; and {len(losses) - len(named):,} more" if len(losses) > len(named) else ""
    return (
        f"{'; '.join(named)}{more}. Allowed is {max_lost_frac:.1%} of a file: get the files again, or accept it "
        "with ingest.max_lost_frac"
    )


def _say_share(lost_frac: float | None) -> str:
    return "cut, nobody knows how much is lost" if lost_frac is None else f"{lost_frac:.2%} lost"
