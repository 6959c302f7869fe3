"""Plain text -> documents: a whole file, a line, or a block between blank lines.

bytes ──read_text(layout)──▶ RawRecord | BadRow
"""

from __future__ import annotations

from collections.abc import Iterator

from tonsai_pipeline.storage.dumps.compression.streams import ByteStream, bad_of
from tonsai_pipeline.storage.dumps.lines import BOM, Line, iter_lines
from tonsai_pipeline.storage.dumps.records import (
    EXCERPT_CHARS,
    BadRow,
    RawRecord,
    ReadOptions,
    decode_text,
    too_long,
)

_SKIP_BYTES = 1 << 20


def read_text(
    stream: ByteStream, options: ReadOptions, *, offset: int = 0
) -> Iterator[RawRecord | BadRow]:
    """Read plain UTF-8 text by `options.text_layout`; line ends inside a document become U+000A."""
    if options.text_layout == "file":
        yield from _read_file(stream, options, offset)
    else:
        yield from _read_blocks(stream, options, offset)


def _read_file(
    stream: ByteStream, options: ReadOptions, offset: int
) -> Iterator[RawRecord | BadRow]:
    if options.start_row > 0:
        return
    data = stream.read(options.max_document_bytes + 1)
    num_bytes = len(data)
    while more := stream.read(_SKIP_BYTES):
        num_bytes += len(more)
    gaps = [damage for damage in stream.damages if damage.is_gap]
    for index, damage in enumerate(stream.damages):
        # Half a file is half a document: nothing of it is a whole text.
        yield bad_of(damage, row=index if gaps else 1, byte_offset=offset, fragment=data)
    if gaps:
        return
    if num_bytes > options.max_document_bytes:
        yield too_long(num_bytes, data, row=0, byte_offset=offset, options=options)
    elif data.strip():
        data = _unix_lines(data)
        yield _record(data.replace(b"\n" + BOM, b"\n") if offset else data, 0, offset, options)


def _read_blocks(
    stream: ByteStream, options: ReadOptions, offset: int
) -> Iterator[RawRecord | BadRow]:
    row = 0
    # Files that were joined have a byte order mark at each seam, if they have one at the start.
    has_marks = offset > 0
    is_behind_gap = False
    block = _Block(options, has_marks)
    for line in iter_lines(stream, options.max_document_bytes, offset=offset):
        if line.damages:
            start = block.offset if block.num_bytes else line.offset
            fragment = block.start_bytes or line.data
            for bad in line.bad_rows(row, fragment=fragment, start=start):
                if bad.row >= options.start_row:
                    yield bad
            row += len(line.damages)
            block = _Block(options, has_marks)
            continue
        if line.after_gap:
            # Up to the next border it lacks its beginning.
            is_behind_gap = options.text_layout == "blank_line"
            continue
        if is_behind_gap:
            is_behind_gap = line.too_long or bool(line.data.strip())
            continue
        is_blank = not line.too_long and not line.data.strip()
        if not is_blank:
            block.add(line)
        if block.num_bytes and (is_blank or options.text_layout == "line"):
            if row >= options.start_row:
                yield block.finish(row)
            row += 1
            block = _Block(options, has_marks)
    if block.num_bytes and row >= options.start_row:
        yield block.finish(row)


class _Block:
    """Lines of one document; above the limit only its beginning is kept."""

    def __init__(self, options: ReadOptions, has_marks: bool) -> None:
        self.offset = 0
        self._has_marks = has_marks
        self.num_bytes = 0
        self._options = options
        self._lines: list[bytes] = []

    @property
    def start_bytes(self) -> bytes:
        """The beginning of the document, for an excerpt."""
        return b"\n".join(self._lines[:EXCERPT_CHARS])[: 4 * EXCERPT_CHARS]

    def add(self, line: Line) -> None:
        """Append a line."""
        if not self.num_bytes:
            self.offset = line.offset
        self.num_bytes += line.num_bytes + bool(self.num_bytes)
        if self.num_bytes <= self._options.max_document_bytes or not self._lines:
            self._lines.append(line.data.removeprefix(BOM) if self._has_marks else line.data)
        else:
            self._lines = [self.start_bytes]

    def finish(self, row: int) -> RawRecord | BadRow:
        """Return the document, or why it is none."""
        if self.num_bytes > self._options.max_document_bytes:
            return too_long(
                self.num_bytes,
                self.start_bytes,
                row=row,
                byte_offset=self.offset,
                options=self._options,
            )
        data = _unix_lines(b"\n".join(self._lines))
        return _record(data, row, self.offset, self._options)


def _unix_lines(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def _record(data: bytes, row: int, offset: int, options: ReadOptions) -> RawRecord | BadRow:
    text = decode_text(data, row=row, byte_offset=offset, options=options)
    return text if isinstance(text, BadRow) else RawRecord(text, row, None, None, None)
