"""Mutated files: every reader gives documents and bad rows, or one clear DumpError; nothing else, and in time."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps import BAD_ROW_REASONS, BadRow, RawRecord, read_dump_file
from tonsai_pipeline.storage.dumps.records import SKIP_REASONS, Dialect, Tally
from tonsai_pipeline_tests.storage.dumps.files import COMPRESSIONS, jsonl
from tonsai_pipeline_tests.storage.dumps.test_archives import parquet, tarred, zipped
from tonsai_pipeline_tests.storage.dumps.test_mediawiki import HEAD, page
from tonsai_pipeline_tests.storage.dumps.test_warc import PAGE, warc, wet

#: Mutated files of each kind; more with TONSAI_FUZZ_INPUTS=2000.
NUM_INPUTS = int(os.environ.get("TONSAI_FUZZ_INPUTS", "150"))
SECONDS_PER_INPUT = 0.1
TEXTS = [f'ឯកសារ {n}, "text" {{{n}}} [x]' for n in range(12)]
RECORDS = [{"id": n, "text": text, "more": {"n": [n, None]}} for n, text in enumerate(TEXTS)]
CSV = "id,text,n\n" + "".join(
    f'{n},"{t.replace(chr(34), chr(34) * 2)}",x\n' for n, t in enumerate(TEXTS)
)
WIKI = (
    HEAD + "".join(page(f"T{n}", f"'''{n}''' [[a|b]] {{|\n| c", number=n) for n in range(9))
).encode()

FILES: dict[str, bytes] = {
    "a.jsonl": jsonl(RECORDS),
    "a.json": json.dumps(RECORDS, ensure_ascii=False).encode(),
    "b.json": "\n".join(json.dumps(record, indent=1) for record in RECORDS).encode(),
    "a.csv": CSV.encode(),
    "a.tsv": "".join(f"{n}\t{text}\n" for n, text in [("id", "text"), *enumerate(TEXTS)]).encode(),
    "a.txt": "\n\n".join(TEXTS).encode(),
    "a.parquet": parquet(TEXTS),
    "a.xml": WIKI + b"</mediawiki>",
    "a.wet": wet([text.encode() for text in TEXTS], packed=False),
    "a.wet.gz": wet([text.encode() for text in TEXTS]),
    "a.zip": zipped({"1.txt": TEXTS[0].encode(), "2.jsonl": jsonl(RECORDS)}),
    "a.tar": tarred({"1.txt": TEXTS[0].encode(), "2.jsonl": jsonl(RECORDS)}),
    **{f"a.jsonl{suffix}": pack(jsonl(RECORDS)) for suffix, pack in COMPRESSIONS.items()},
}


def _flip(data: bytearray, place: int, generator: random.Random) -> None:
    data[place] ^= 1 << generator.randrange(8)


def _overwrite(data: bytearray, place: int, generator: random.Random) -> None:
    data[place : place + 8] = generator.randbytes(8)


def _delete(data: bytearray, place: int, generator: random.Random) -> None:
    del data[place : place + generator.randrange(1, 40)]


def _insert(data: bytearray, place: int, generator: random.Random) -> None:
    odd = [
        b'"',
        b"\\",
        b"\n",
        b"\r",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"\t",
        b"\0",
        b"<",
        b"&",
        b"\xff",
        b"\xef\xbb\xbf",
    ]
    data[place:place] = generator.choice(odd) * generator.choice([1, 1, 2, 5])


def _cut(data: bytearray, place: int, generator: random.Random) -> None:
    del data[place:]


def _repeat(data: bytearray, place: int, generator: random.Random) -> None:
    data[place:place] = data[place : place + generator.randrange(1, 200)]


def _enlarge(data: bytearray, place: int, generator: random.Random) -> None:
    """Turn a length into a large one."""
    data[place : place + 4] = generator.choice([b"\xff\xff\xff\x7f", b"9999", b"\x00\x00\x00\x00"])


MUTATIONS: list[Callable[[bytearray, int, random.Random], None]] = [
    _flip,
    _flip,
    _overwrite,
    _delete,
    _insert,
    _insert,
    _cut,
    _repeat,
    _enlarge,
]


def mutated(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.choice([1, 1, 1, 2, 4])):
        if changed:
            generator.choice(MUTATIONS)(changed, generator.randrange(len(changed)), generator)
    return bytes(changed)


def check(path: Path, dialect: Dialect) -> None:
    tally = Tally()
    try:
        rows = list(read_dump_file(str(path), dialect=dialect, tally=tally))
    except DumpError as error:
        # pytest would have to know beforehand that it fails.
        if not str(error).startswith(str(path)):
            raise
        return
    places = [row.row for row in rows]
    assert places == sorted(places)
    good = [row for row in rows if isinstance(row, RawRecord)]
    bad = [row for row in rows if isinstance(row, BadRow)]
    assert len({row.row for row in good}) == len(good)
    assert {row.reason for row in bad} <= set(BAD_ROW_REASONS)
    assert set(tally.skipped) <= set(SKIP_REASONS)
    pa.array([row.text for row in good], pa.large_string()).validate(full=True)
    pa.array([row.meta for row in good], pa.string()).validate(full=True)
    assert all(row.meta is None or isinstance(json.loads(row.meta), dict) for row in good)
    pa.array([row.excerpt + row.detail for row in bad], pa.string()).validate(full=True)


@pytest.mark.parametrize("name", FILES)
def test_a_mutated_file_gives_documents_and_bad_rows_or_one_clear_error(
    tmp_path: Path, name: str
) -> None:
    generator = random.Random(name)
    path = tmp_path / name
    start = time.perf_counter()
    for _ in range(NUM_INPUTS):
        data = mutated(FILES[name], generator)
        path.write_bytes(data)
        dialect = generator.choice([Dialect(), Dialect(quoting="minimal"), Dialect(escape="\\")])
        try:
            check(path, dialect)
        except BaseException:
            (tmp_path / "failing").write_bytes(data)
            raise
    assert time.perf_counter() - start < SECONDS_PER_INPUT * NUM_INPUTS


@pytest.mark.slow
def test_mutated_archives_of_pages_too(tmp_path: Path) -> None:
    pages = [("200 OK", "text/html; charset=utf-8", PAGE.encode())] * 3
    whole = warc(pages)
    path = tmp_path / "a.warc.gz"
    generator = random.Random(1)
    for _ in range(NUM_INPUTS):
        path.write_bytes(mutated(whole, generator))
        check(path, Dialect())
