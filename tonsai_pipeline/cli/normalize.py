"""`tonsai normalize`: text or JSON Lines in -> the same out, normalized. A filter, for people who want only this."""

from __future__ import annotations

import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Protocol, cast

import typer

if TYPE_CHECKING:
    import pyarrow as pa

    from tonsai_pipeline.text import NormalizeOptions

#: Whole lines are worked on in blocks of about this size; a longer line is a block by itself.
_BLOCK_BYTES = 8 << 20
_SNIFF_BYTES = 4096
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GZIP_MAGIC = b"\x1f\x8b"
_SPACE = re.compile(r"[ \t\r\n]*")


class TextFormat(StrEnum):
    """What a file holds."""

    AUTO = "auto"
    TEXT = "text"
    JSONL = "jsonl"


class LegacyFonts(StrEnum):
    """What becomes of Khmer in a font from before Unicode."""

    KEEP = "keep"
    CONVERT = "convert"


class CoengDa(StrEnum):
    """What becomes of coeng DA."""

    FOLD = "fold"
    PRESERVE = "preserve"


def normalize(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Text or JSON Lines, .gz too; standard input if none, or for `-`."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Print what was changed to standard error.")
    ] = False,
    coeng_da: Annotated[
        CoengDa,
        typer.Option("--coeng-da", help="Store U+17D2 U+178A as U+17D2 U+178F, or leave it."),
    ] = CoengDa.FOLD,
    legacy: Annotated[
        LegacyFonts,
        typer.Option(
            "--legacy",
            help="`convert` Khmer in Limon and ABC fonts to Unicode, where the result passes for Khmer.",
        ),
    ] = LegacyFonts.KEEP,
    text_field: Annotated[
        str, typer.Option("--field", help="Field of a JSON line that is normalized.")
    ] = "text",
    text_format: Annotated[
        TextFormat, typer.Option("--format", help="`auto` looks at the first character.")
    ] = TextFormat.AUTO,
) -> None:
    """Write text back in the one order in which Unicode asks Khmer to be stored.

    Lines stay lines, and a JSON line without a change stays byte for byte what it was. Other fields are left alone.

    Example: `tonsai normalize corpus.jsonl > clean.jsonl`, `cat page.txt | tonsai normalize --report`
    """
    from tonsai_pipeline.errors import StorageError
    from tonsai_pipeline.text import NormalizeOptions

    options = NormalizeOptions(coeng_da=coeng_da.value)
    counts: Counter[str] = Counter()
    out = sys.stdout.buffer
    ends_line = True
    try:
        for name, stream in _streams(files or [Path("-")]):
            work = _work(options, text_format, text_field, legacy == LegacyFonts.CONVERT)
            for lines in _filter(name, stream, work, counts):
                # Where a file before lacks its last line end, two records would be one line.
                out.write(lines if ends_line else b"\n" + lines)
                ends_line = lines.endswith(b"\n")
        out.flush()
    except BrokenPipeError:
        # The reader has seen enough (`| head`). What Python still has buffered must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    except OSError as error:
        raise StorageError(f"standard output: {error.strerror or error}") from error
    if report:
        _print_report(counts)


class _Work(Protocol):
    """Normalizes one block of whole lines, adding to the counts."""

    def __call__(self, block: bytes, where: _Where, counts: Counter[str]) -> bytes: ...


class _Where:
    """The file and the number of lines read before the block at hand, for messages."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.num_lines = 0

    def line(self, index: int) -> str:
        return f"{self.name}, line {self.num_lines + index + 1}"


def _streams(files: list[Path]) -> Iterator[tuple[str, BinaryIO]]:
    """Open each file in turn; gzip is told by the first bytes, not by the name."""
    import gzip

    from tonsai_pipeline.errors import DumpError

    for file in files:
        if str(file) == "-":
            yield "standard input", sys.stdin.buffer
            continue
        try:
            stream = file.open("rb")
        except OSError as error:
            raise DumpError(f"{file}: {error.strerror or error}") from error
        with stream:
            is_gzip = stream.peek(2)[:2] == _GZIP_MAGIC
            yield str(file), cast("BinaryIO", gzip.GzipFile(fileobj=stream) if is_gzip else stream)


def _work(
    options: NormalizeOptions, text_format: TextFormat, text_field: str, converts: bool
) -> Callable[[bytes], _Work]:
    """Return what chooses, by a file's first block, how its blocks are normalized."""

    def choose(block: bytes) -> _Work:
        start = block[:_SNIFF_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
        is_json = text_format == TextFormat.JSONL or (
            text_format == TextFormat.AUTO and start.startswith(b"{")
        )
        if is_json:
            return _JsonLines(options, text_field, converts)
        return _PlainText(options, converts)

    return choose


def _filter(
    name: str, stream: BinaryIO, choose: Callable[[bytes], _Work], counts: Counter[str]
) -> Iterator[bytes]:
    """Normalize a stream block by block."""
    where = _Where(name)
    work: _Work | None = None
    for block in _blocks(name, stream):
        work = work or choose(block)
        yield work(block, where, counts)
        where.num_lines += block.count(b"\n")


def _blocks(name: str, stream: BinaryIO) -> Iterator[bytes]:
    """Yield blocks of whole lines; the time is linear in the bytes, however long a line is."""
    pieces: list[bytes] = []
    while block := _read(name, stream):
        end = block.rfind(b"\n") + 1
        if not end:
            pieces.append(block)
            continue
        yield b"".join([*pieces, block[:end]])
        pieces = [block[end:]]
    if rest := b"".join(pieces):
        yield rest


def _read(name: str, stream: BinaryIO) -> bytes:
    from tonsai_pipeline.errors import DumpError

    try:
        return stream.read(_BLOCK_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DumpError(f"{name}: {getattr(error, 'strerror', None) or error}") from error


class _PlainText:
    """Every line is text."""

    def __init__(self, options: NormalizeOptions, converts: bool) -> None:
        self._options = options
        self._converts = converts

    def __call__(self, block: bytes, where: _Where, counts: Counter[str]) -> bytes:
        import pyarrow as pa

        from tonsai_pipeline.errors import DataError
        from tonsai_pipeline.text import malformed_texts, normalize_batch_report

        texts = pa.array([block], pa.large_binary()).view(pa.large_string())
        try:
            normalized, seen = normalize_batch_report(texts, self._options)
            if self._converts:
                converted = _convert(texts.to_pylist(), counts)
                normalized, seen = normalize_batch_report(converted, self._options)
        except ValueError as error:
            byte = malformed_texts(texts)[0].as_py()
            line = block.count(b"\n", 0, byte)
            column = byte - (block.rfind(b"\n", 0, byte) + 1)
            raise DataError(f"{where.line(line)}: not UTF-8 at byte {column}") from error
        counts["num_lines"] += block.count(b"\n") + (not block.endswith(b"\n"))
        _add(counts, seen)
        return normalized.view(pa.large_binary())[0].as_py()


class _JsonLines:
    """Every line is a JSON object; one field is text."""

    def __init__(self, options: NormalizeOptions, text_field: str, converts: bool) -> None:
        self._options = options
        self._converts = converts
        self._field = text_field

    def __call__(self, block: bytes, where: _Where, counts: Counter[str]) -> bytes:
        import pyarrow as pa

        from tonsai_pipeline.text import normalize_batch_report

        lines = block.split(b"\n")
        records = [self._parse(line, where.line(index)) for index, line in enumerate(lines)]
        counts["num_lines"] += sum(record is not None for record in records)
        texts = [None if record is None else record[self._field] for record in records]
        before = _convert(texts, counts) if self._converts else pa.array(texts, pa.large_string())
        normalized, seen = normalize_batch_report(before, self._options)
        for index, after in enumerate(normalized.to_pylist()):
            record = records[index]
            if record is not None and after != texts[index]:
                counts["num_changed"] += 1
                lines[index] = self._replaced(lines[index], after)
        _add(counts, seen)
        return b"\n".join(lines)

    def _parse(self, line: bytes, place: str) -> dict[str, Any] | None:
        """Return the record of a line, None for a blank one."""
        import orjson

        from tonsai_pipeline.errors import DataError

        if not line.strip():
            return None
        try:
            record = orjson.loads(line.removeprefix(_BYTE_ORDER_MARK))
        except orjson.JSONDecodeError as error:
            raise DataError(f"{place}: not JSON: {error}") from error
        if not isinstance(record, dict) or not isinstance(record.get(self._field), str):
            raise DataError(f"{place}: no text in field {self._field!r}; name it with --field")
        return record

    def _replaced(self, line: bytes, text: str) -> bytes:
        """Return a line with another text: every other byte stays, numbers of 20 digits too."""
        import orjson

        record = line.decode("utf-8")
        start, end = _last_value(record, self._field)
        return f"{record[:start]}{orjson.dumps(text).decode()}{record[end:]}".encode()


def _convert(texts: list[str | None], counts: Counter[str]) -> pa.Array:
    """Convert what is in legacy fonts; text that does not pass stays as it is, and is counted."""
    import pyarrow as pa

    from tonsai_pipeline.text.legacy import convert_documents

    out = list(texts)
    for row, found in enumerate(convert_documents([text or "" for text in texts], keep_lines=True)):
        if found is not None and found.families:
            out[row] = found.text
            counts["num_legacy_converted"] += 1
        elif found is not None:
            for reason in found.refused:
                counts[f"num_left_as_{reason}"] += 1
    return pa.array(out, pa.large_string())


def _last_value(record: str, field: str) -> tuple[int, int]:
    """Return where the value of a field of a JSON object is; of several, the one that counts."""
    import json

    scan = json.JSONDecoder().raw_decode
    found = (0, 0)
    at = record.index("{") + 1
    while record[at := _after_space(record, at)] != "}":
        key, at = scan(record, at)
        start = _after_space(record, _after_space(record, at) + 1)
        _, at = scan(record, start)
        found = (start, at) if key == field else found
        at = _after_space(record, at)
        at += record[at] == ","
    return found


def _after_space(record: str, at: int) -> int:
    space = _SPACE.match(record, at)
    return space.end() if space else at


def _add(counts: Counter[str], seen: pa.StructArray) -> None:
    for field in seen.type:
        counts[field.name] += int(seen.field(field.name).to_numpy().sum())


def _print_report(counts: Counter[str]) -> None:
    """Print the counts that are not zero, in the order of the rules."""
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "count", title="tonsai normalize")
    table.columns[1].justify = "right"
    for name, count in counts.items():
        if count:
            table.add_row(name.removeprefix("num_").replace("_", " "), f"{count:,}")
    Console(stderr=True).print(table)
