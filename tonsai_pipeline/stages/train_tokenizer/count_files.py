"""Raw text files and saved datasets -> counts of words, and some held-out text.

file ──stretches of 32 MB, cut at line ends──▶ blocks of lines ──normalize──▶ words ──count──▶ WordCounts
                                                 └──one block in a hundred──▶ held out
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.recipe.sources import NormalizeConfig
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.schema import Language
from tonsai_pipeline.stages.train_tokenizer.count_words import (
    WordCounts,
    gather_counts,
    write_counts,
)
from tonsai_pipeline.stages.train_tokenizer.counters import open_counters
from tonsai_pipeline.text import NormalizeOptions, normalize_batch
from tonsai_pipeline.text.script import languages_batch
from tonsai_pipeline.tokenizer.encode import fast_or_plain

_STRETCH_BYTES = 32 << 20
_BLOCK_BYTES = 16 << 10
#: One block in so many is held out, and at most so much of each language and stretch.
_HOLD_OUT_EVERY = 100
_MAX_HELD_OUT_CHARS = 100_000


class _Stretch(NamedTuple):
    """Lines that begin in bytes `start` to `stop` of a text file, or a whole `.arrow` file."""

    name: str
    path: Path
    start: int
    stop: int
    column: str
    config: TokenizerConfig
    options: NormalizeOptions


def count_files(
    inputs: Sequence[Path],
    folder: Path,
    *,
    config: TokenizerConfig,
    normalize: NormalizeConfig,
    engine: Engine,
    text_column: str,
) -> tuple[WordCounts, dict[str, list[str]]]:
    """Count the words of raw files; see `train_tokenizer_files`.

    Returns:
        The counts, and held-out texts by language.

    Raises:
        DataError: A file is missing, empty of text, or not UTF-8.
    """
    options = normalize.options()
    parts = []
    for number, path in enumerate(_files(inputs)):
        size = path.stat().st_size
        step = size if path.suffix == ".arrow" else _STRETCH_BYTES
        for start in range(0, size, max(1, step)):
            name = f"words.{number:05d}.{start:012d}"
            stretch = _Stretch(name, path, start, start + step, text_column, config, options)
            parts.append(Part(name, stretch))
    results = map_parts(engine, _count_stretch, parts, folder=folder, label="train_tokenizer")
    names = [part.name for part in parts]
    held_out: dict[str, list[str]] = defaultdict(list)
    for result in results:
        for language, text in result["held_out"].items():
            held_out[language].append(text)
    return gather_counts(folder, names, config), dict(held_out)


def _files(inputs: Sequence[Path]) -> list[Path]:
    found = []
    for path in inputs:
        files = sorted(path.rglob("*.arrow")) if path.is_dir() else [path]
        if not files or not files[0].is_file():
            what = "has no .arrow file: not a saved dataset" if path.is_dir() else "no such file"
            raise DataError(f"{path}: {what}")
        found += files
    return found


def _count_stretch(stretch: _Stretch, folder: Path) -> dict[str, Any]:
    """Count the words of one stretch."""
    return fast_or_plain(lambda fast: _count(stretch, folder, fast=fast), stretch.name)


def _count(stretch: _Stretch, folder: Path, *, fast: bool) -> dict[str, Any]:
    counters = open_counters(stretch.config, fast=fast)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in counters}
    held_out: dict[str, list[str]] = defaultdict(list)
    blocks = _read_arrow(stretch) if stretch.path.suffix == ".arrow" else _read_lines(stretch)
    for place, block in enumerate(blocks):
        lines = normalize_batch(pa.array(block, pa.large_string()), stretch.options)
        if place % _HOLD_OUT_EVERY == _HOLD_OUT_EVERY - 1:
            _hold_out(lines, held_out)
            continue
        for kind, count_texts in counters.items():
            counts[kind].update(count_texts(lines))
    for kind, counter in counts.items():
        write_counts(folder, stretch.name, kind, counter)
    return {"held_out": {lang: "".join(texts) for lang, texts in held_out.items()}}


def _hold_out(lines: pa.Array, held_out: dict[str, list[str]]) -> None:
    """Keep lines by language, up to a limit."""
    for line, lang in zip(lines.to_pylist(), languages_batch(lines).to_pylist(), strict=True):
        known = lang in (Language.KHM, Language.ENG)
        if known and sum(map(len, held_out[lang])) < _MAX_HELD_OUT_CHARS:
            held_out[lang].append(line)


def _read_lines(stretch: _Stretch) -> Iterator[list[str]]:
    """Yield blocks of the lines that begin in the stretch."""
    with stretch.path.open("rb") as stream:
        if stretch.start > 0:
            # The line that holds the border belongs to the stretch before.
            stream.seek(stretch.start - 1)
            stream.readline()
        at = stream.tell()
        while lines := _take_lines(stream, min(_BLOCK_BYTES, stretch.stop - at)):
            try:
                yield [line.decode() for line in lines]
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{stretch.path}: not UTF-8 after byte {at}: {error.reason}; convert the file to UTF-8"
                ) from error
            at = stream.tell()


def _take_lines(stream: BinaryIO, num_bytes: int) -> list[bytes]:
    """Read the lines that begin in the next `num_bytes`."""
    lines, size = [], 0
    while size < num_bytes and (line := stream.readline()):
        lines.append(line)
        size += len(line)
    return lines


def _read_arrow(stretch: _Stretch) -> Iterator[list[str]]:
    """Yield the texts of an Arrow stream, batch by batch."""
    try:
        with pa.ipc.open_stream(stretch.path) as stream:
            for batch in stream:
                texts = batch.column(stretch.column).to_pylist()
                yield from (texts[at : at + 32] for at in range(0, len(texts), 32))
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise DataError(
            f"{stretch.path}: cannot be read, or has no column '{stretch.column}': {error}"
        ) from error
