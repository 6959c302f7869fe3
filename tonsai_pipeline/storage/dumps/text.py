"""Plain text -> documents: a whole file, a line, or a block between blank lines.

bytes ──read_text(layout)──▶ RawRecord | BadRow
"""

from __future__ import annotations

from collections.abc import Iterator

from tonsai_pipeline.storage.dumps.lines import Line, iter_lines
from tonsai_pipeline.storage.dumps.records import (
    EXCERPT_CHARS,
    BadRow,
    RawRecord,
    ReadOptions,
    decode_text,
    too_long,
)
from tonsai_pipeline.storage.dumps.streams import ByteStream, end_of

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
    if stream.damage is not None:
        # Half a file is half a document: nothing of it is a whole text.
        yield from end_of(stream, row=0, byte_offset=offset, fragment=data)
    elif num_bytes > options.max_document_bytes:
        yield too_long(num_bytes, data, row=0, byte_offset=offset, options=options)
    elif data.strip():
        yield _record(data.replace(b"\r\n", b"\n"), 0, offset, options)


def _read_blocks(
    stream: ByteStream, options: ReadOptions, offset: int
) -> Iterator[RawRecord | BadRow]:
    row = 0
    block = _Block(options)
    for line in iter_lines(stream, options.max_document_bytes, offset=offset):
        offset = line.end
        if line.torn:
            fragment = block.start_bytes or line.data
            start = offset if not block.num_bytes else block.offset
            yield from end_of(stream, row=row, byte_offset=start, fragment=fragment)
            return
        is_blank = not line.too_long and not line.data.strip()
        if not is_blank:
            block.add(line)
        if block.num_bytes and (is_blank or options.text_layout == "line"):
            if row >= options.start_row:
                yield block.finish(row)
            row += 1
            block = _Block(options)
    if stream.damage is not None:
        start = block.offset if block.num_bytes else offset
        yield from end_of(stream, row=row, byte_offset=start, fragment=block.start_bytes)
    elif block.num_bytes and row >= options.start_row:
        yield block.finish(row)


class _Block:
    """Lines of one document; above the limit only its beginning is kept."""

    def __init__(self, options: ReadOptions) -> None:
        self.offset = 0
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
            self._lines.append(line.data)
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
        return _record(b"\n".join(self._lines), row, self.offset, self._options)


def _record(data: bytes, row: int, offset: int, options: ReadOptions) -> RawRecord | BadRow:
    text = decode_text(data, row=row, byte_offset=offset, options=options)
    return text if isinstance(text, BadRow) else RawRecord(text, row, None, None, None)
