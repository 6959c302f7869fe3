"""A PDF file -> one document, or the reason why there is none.

bytes ──on_disk──▶ path ──read_in_process──▶ RawRecord(text, meta: pages, fonts) | BadRow(needs_ocr, encrypted_pdf, ...)
"""

from __future__ import annotations

from collections.abc import Iterator

from tonsai_pipeline.storage.dumps.archives import on_disk
from tonsai_pipeline.storage.dumps.compression.streams import ByteStream, bad_of
from tonsai_pipeline.storage.dumps.pdf.process import PAGE_REASONS, read_in_process
from tonsai_pipeline.storage.dumps.records import (
    BadRow,
    RawRecord,
    ReadOptions,
    check_text,
    dump_meta,
)

#: Page numbers that a bad row names.
_MAX_NAMED = 20
_LAYOUT = ("fonts", "font_runs", "page_starts", "num_pages")


def read_pdf(stream: ByteStream, options: ReadOptions) -> Iterator[RawRecord | BadRow]:
    """Read a whole file as one document."""
    if options.start_row > 0:
        return
    with on_disk(stream) as path:
        damages = [damage for damage in stream.damages if damage.is_gap]
        if damages:
            for row, damage in enumerate(damages):
                yield bad_of(damage, row=row, byte_offset=damage.offset)
            return
        yield read_pdf_file(path, row=0, options=options)


def read_pdf_file(
    path: str, *, row: int, options: ReadOptions, byte_offset: int | None = None
) -> RawRecord | BadRow:
    """Read a file on disk as the record of that row."""
    found = read_in_process(path)
    if "problem" in found:
        return BadRow(row, byte_offset, found["problem"], found["detail"], "")
    num_refused = {name: len(found[name]) for name in PAGE_REASONS}
    pages = {"read": found["num_read"], **num_refused}
    options.tally.pages.update(pages, blank=found["num_pages"] - sum(pages.values()))
    text = found["text"].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    refused = {name: found[name] for name in PAGE_REASONS if found[name]}
    if not text.strip():
        reason = next(iter(refused), "empty_pdf")
        detail = f"no text on {found['num_pages']:,} pages; {_named(refused)}"
        return BadRow(row, byte_offset, reason, detail, "")
    if (bad := check_text(text, row=row, byte_offset=byte_offset, options=options)) is not None:
        return bad
    meta = {name: found[name] for name in _LAYOUT}
    meta |= {f"pages_{name}": pages for name, pages in refused.items()}
    return RawRecord(text, row, None, found["title"], dump_meta(meta, options.tally))


def _named(refused: dict[str, list[int]]) -> str:
    """Name the pages without usable text."""
    parts = []
    for reason, pages in refused.items():
        more = ", ..." if len(pages) > _MAX_NAMED else ""
        parts.append(f"{reason}: pages {', '.join(map(str, pages[:_MAX_NAMED]))}{more}")
    return "; ".join(parts) or "they are blank"
