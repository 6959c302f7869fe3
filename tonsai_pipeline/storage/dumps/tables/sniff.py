r"""The beginning of a CSV or TSV file -> the dialect that reads it best: a proposal for a person, never a guess in a run.

id;text⏎1;"a \"b\""⏎  ──sniff_dialect──▶ Dialect(delimiter=";", escape="\\")
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence

from tonsai_pipeline.storage.dumps.compression.streams import open_stream
from tonsai_pipeline.storage.dumps.lines import BOM
from tonsai_pipeline.storage.dumps.records import Dialect

_SAMPLE_BYTES = 256 << 10
_DELIMITERS = (",", "\t", ";", "|")


def sniff_dialect(location: str, habit: Dialect) -> Dialect:
    """Return how a file differs from the habit of its format; an empty dialect if it does not.

    Args:
        location: A path or fsspec URL.
        habit: The format's own delimiter and quoting.

    Raises:
        DumpError: The file cannot be opened.
    """
    with open_stream(location) as stream:
        data = stream.read(_SAMPLE_BYTES).removeprefix(BOM)
    lines = data.decode("utf-8", "replace").splitlines()
    # The last line may be cut.
    lines = lines[:-1] if len(data) == _SAMPLE_BYTES else lines
    own = Dialect(habit.delimiter, habit.quoting)
    best = max(_dialects(own), key=lambda dialect: _score(lines, dialect))
    if _score(lines, best) <= _score(lines, own):
        return Dialect()
    return Dialect(
        None if best.delimiter == own.delimiter else best.delimiter,
        None if best.quoting == own.quoting else best.quoting,
        best.escape,
    )


def _dialects(own: Dialect) -> Iterator[Dialect]:
    """Yield what may be proposed, the habit first: of equals it wins."""
    for delimiter in sorted(_DELIMITERS, key=lambda one: one != own.delimiter):
        for quoting in sorted(("minimal", "none"), key=lambda one: one != own.quoting):
            for escape in (None, "\\"):
                yield Dialect(delimiter, quoting, escape)  # pyright: ignore[reportArgumentType]


def _score(lines: Sequence[str], dialect: Dialect) -> float:
    """Return the share of lines in records with the header's number of fields; 0 for a single column."""
    widths: Counter[int] = Counter()
    reader = csv.reader(
        (f"{line}\n" for line in lines),
        delimiter=dialect.delimiter or ",",
        quoting=csv.QUOTE_NONE if dialect.quoting == "none" else csv.QUOTE_MINIMAL,
        escapechar=dialect.escape,
        strict=True,
    )
    width = before = quoted = 0
    while True:
        try:
            values = next(reader, None)
        except csv.Error:
            continue
        finally:
            num_lines, before = reader.line_num - before, reader.line_num
        if values is None:
            break
        width = width or len(values)
        widths[len(values)] += num_lines
        quoted += sum(value[:1] == '"' == value[-1:] and len(value) > 1 for value in values)
    fits = widths[width] / max(1, len(lines)) if width > 1 else 0.0
    # Fields that keep both their quotes were meant to be quoted.
    return fits - 0.5 * (quoted > len(lines) / 2)
