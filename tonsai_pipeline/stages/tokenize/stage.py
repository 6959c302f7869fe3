"""Documents of the mixture -> tokenized_documents: ids of every document, once for each tokenizer and text.

    normalized part, chosen rows ──encode──▶ part-*.ids.bin    ids of all documents end to end, little-endian
                                             part-*.docs.npy   where each document ends, and its bytes of text

A dump depends on the tokenizer's files, the text and the chosen documents. Other weights or another row length
tokenize nothing again; a new dump tokenizes only itself.
"""

# pyarrow.compute makes its functions when it is loaded; no checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import functools
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.lineage import Stage, every_dump, same_dump, whole
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.stages.mix.shares import mixed_sources
from tonsai_pipeline.stages.mix.texts import TextPart, dump_parts, read_texts
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.files import atomic_path
from tonsai_pipeline.storage.shards import id_dtype
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.tokenizer.assemble import INFO_NAME, TokenizerInfo, parse_info
from tonsai_pipeline.tokenizer.encode import Encoder, fast_or_plain

_TOKENIZER_FILE = "tokenizer.json"
_COUNTS = ("num_documents", "num_tokens", "num_bytes")
#: A tokenized document: where its ids end in the part's file, and the UTF-8 bytes of its text.
DOCUMENT = np.dtype([("end", "<i8"), ("num_bytes", "<i8")])
#: Text handed to the encoder at a time, in UTF-8 bytes: a call of gigatoken costs 3 ms, and an answer of `tokenizers`
#: takes some twenty times as much memory.
_BATCH_BYTES = 4 << 20


@dataclass(frozen=True)
class TokensReport:
    """What the token store of one dump holds; tokens include begin and end of text."""

    num_documents: int
    num_tokens: int
    num_bytes: int


class _Task(NamedTuple):
    part: TextPart
    tokenizer: Path
    digest: str
    threads: bool


def read_info(tokenizer: Artifact) -> TokenizerInfo:
    """Read what packing must know about a tokenizer.

    Raises:
        DataError: The folder is not one of our tokenizers.
    """
    path = tokenizer.path / INFO_NAME
    try:
        return parse_info(path.read_bytes())
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a tokenizer of this program: {error}") from error


def copy_encoder(tokenizer: Artifact, folder: Path, *, engine: Engine) -> dict[str, str]:
    """Copy what encoding needs of a tokenizer, without its report on held-out text.

    Args:
        tokenizer: The tokenizer.
        folder: The building folder.
        engine: Not used: two files.
    """
    del engine
    info = read_info(tokenizer)
    for name in (INFO_NAME, _TOKENIZER_FILE):
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(tokenizer.path / name, temporary)
    return {"digest": info.digest}


def tokenize_dump(
    chosen: Artifact, normalized: Artifact, encoder: Artifact, folder: Path, *, engine: Engine
) -> TokensReport:
    """Tokenize the chosen documents of a dump.

    Args:
        chosen: The dump's chosen_documents.
        normalized: Its normalized_documents.
        encoder: The tokenizer's files.
        folder: The building folder.
        engine: Where parts are tokenized.

    Raises:
        DataError: Pointers lead nowhere.
    """
    dump = DumpKey(cast("str", normalized.manifest.partition))
    parts = dump_parts(dump, chosen, normalized)
    # With one part there is one process, which may then use every core itself.
    threads = len(parts) == 1 and engine.num_workers > 1
    path, digest = encoder.path / _TOKENIZER_FILE, encoder.report["digest"]
    work = [Part(part.pointers.stem, _Task(part, path, digest, threads)) for part in parts]
    results = map_parts(engine, _tokenize_part, work, folder=folder, label=f"tokenize {dump}")
    return TokensReport(**{name: sum(one[name] for one in results) for name in _COUNTS})


def sum_up(tokens: Mapping[DumpKey, Artifact], folder: Path, *, engine: Engine) -> dict[str, Any]:
    """Count the tokens of every dump and source.

    Args:
        tokens: Tokenized documents by dump.
        folder: Not used: tokens stay where they are.
        engine: Not used.
    """
    del folder, engine
    by_source: dict[str, Counter[str]] = {}
    for key, artifact in tokens.items():
        by_source.setdefault(key.source, Counter()).update(artifact.report)
    return {
        **{name: sum(one.report[name] for one in tokens.values()) for name in _COUNTS},
        "by_source": {
            name: {**counts, "bytes_per_token": counts["num_bytes"] / max(1, counts["num_tokens"])}
            for name, counts in by_source.items()
        },
    }


def _tokenize_part(task: _Task, folder: Path) -> dict[str, Any]:
    """Tokenize the documents of one part."""
    # Where there is one thread anyway, the parallel path of tokenizers 0.23 is 15 % faster than the serial one.
    threads = task.threads or os.environ.get("RAYON_NUM_THREADS") == "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads else "false"

    def write(fast: bool) -> dict[str, Any]:
        encoder = _open_encoder(task.tokenizer, task.digest, parallel=task.threads, fast=fast)
        return _write_ids(task, encoder, folder)

    return fast_or_plain(write, task.part.pointers.stem)


def _write_ids(task: _Task, encoder: Encoder, folder: Path) -> dict[str, Any]:
    """Encode the documents of one part, in the order of the pointers."""
    row_in_part = read_part(task.part.pointers, ["row_in_part"])["row_in_part"].to_numpy()
    documents = np.zeros(len(row_in_part), dtype=DOCUMENT)
    num_tokens = done = 0
    stem = task.part.pointers.stem
    with atomic_path(folder / f"{stem}.ids.bin") as temporary, temporary.open("wb") as stream:
        for selected in read_texts(task.part, row_in_part):
            for texts, num_bytes in _batches(selected.texts, _BATCH_BYTES):
                ids, sizes = encoder.encode(texts)
                stream.write(ids.tobytes())
                batch = documents[done : done + len(texts)]
                batch["end"] = num_tokens + np.cumsum(sizes)
                batch["num_bytes"] = num_bytes
                num_tokens += len(ids)
                done += len(texts)
    with atomic_path(folder / f"{stem}.docs.npy") as temporary, temporary.open("wb") as stream:
        np.save(stream, documents)
    return {
        "num_documents": len(documents),
        "num_tokens": num_tokens,
        "num_bytes": int(documents["num_bytes"].sum()),
    }


def _batches(texts: pa.Array, batch_bytes: int) -> Iterator[tuple[pa.Array, np.ndarray]]:
    """Cut texts into runs of at most `batch_bytes`, or of one text, with the bytes of each text."""
    num_bytes = pc.binary_length(texts).to_numpy()
    ends = np.cumsum(num_bytes)
    start = 0
    while start < len(texts):
        full = ends[start] - num_bytes[start] + batch_bytes
        stop = max(start + 1, int(np.searchsorted(ends, full, side="right")))
        yield texts.slice(start, stop - start), num_bytes[start:stop]
        start = stop


@functools.lru_cache(maxsize=1)
def _open_encoder(path: Path, digest: str, *, parallel: bool, fast: bool) -> Encoder:
    """Open the tokenizer once in a process: it takes a second, and tokenizers 0.23 keeps memory of every one.

    Args:
        path: The tokenizer.json, with tonsai_tokenizer.json beside it.
        digest: What it holds; a tokenizer that was made anew at the same path is another one.
        parallel: Whether to use every core.
        fast: Whether to look for a fast encoder.
    """
    del digest
    info = parse_info((path.parent / INFO_NAME).read_bytes())
    dtype = id_dtype(info.padded_vocab_size)
    return Encoder(path.read_bytes(), info, dtype, fast=fast, parallel=parallel)


ENCODER = Stage(
    "encoder",
    version="1",
    make=copy_encoder,
    part_of="tokenized_documents",
    reads={"tokenizer": whole("tokenizer")},
)

DUMP = Stage(
    "tokenized_documents_of_dump",
    version="2",
    make=tokenize_dump,
    each_dump=True,
    part_of="tokenized_documents",
    reads={
        "chosen": same_dump("chosen_documents"),
        "normalized": same_dump("normalized_documents"),
        "encoder": whole("encoder"),
    },
)

STAGE = Stage(
    "tokenized_documents",
    version="1",
    make=sum_up,
    reads={"tokens": every_dump("tokenized_documents_of_dump", of=mixed_sources)},
)

STAGES = (ENCODER, DUMP, STAGE)
