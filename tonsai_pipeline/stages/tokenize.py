"""Documents of the mixture -> the token store: ids of every document, once for each tokenizer and text.

    normalized part, pointers ──encode──▶ part-*.ids.bin    ids of all documents end to end, little-endian
                                          part-*.docs.npy   where each document ends, and its bytes of text

A dump is one sub-artifact, addressed by the tokenizer, the text and the chosen documents. Other weights or
another row length tokenize nothing again; a new dump tokenizes only itself.
"""

# pyarrow.compute makes its functions when it is loaded; no checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.stages.mixture_texts import (
    TextPart,
    dump_parts,
    mixture_dumps,
    read_texts,
)
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.files import atomic_path
from tonsai_pipeline.storage.shards import id_dtype
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.tokenizer.assemble import INFO_NAME, TokenizerInfo, parse_info

STAGE_VERSION = "1"
ASSET = "packed_shards.tokens"
#: A tokenized document: where its ids end in the part's file, and the UTF-8 bytes of its text.
DOCUMENT = np.dtype([("end", "<i8"), ("num_bytes", "<i8")])
#: Text handed to the tokenizer at a time, in UTF-8 bytes: its answer takes some twenty times as much memory.
_BATCH_BYTES = 1 << 20
#: The same where it has several threads: they wait for each other at the end of a batch.
_SHARED_BATCH_BYTES = 4 << 20


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


def tokenize(
    mixture: Artifact,
    normalized: Mapping[str, Artifact],
    tokenizer: Artifact,
    *,
    engine: Engine,
    store: Store,
) -> dict[str, Artifact]:
    """Tokenize every dump that is not in the store yet.

    Args:
        mixture: The training_mixture.
        normalized: normalized_documents by dump.
        tokenizer: The tokenizer.
        engine: Where parts are tokenized.
        store: Where the token store is kept.

    Returns:
        The token store of each dump, in catalog order.

    Raises:
        DataError: A dump has no text, or pointers lead nowhere.
    """
    info = read_info(tokenizer)
    tokens = {}
    for dump, pointers in mixture_dumps(mixture, normalized, store).items():
        parts = dump_parts(dump, pointers, normalized[dump])

        def make(folder: Path, parts: Sequence[TextPart] = parts) -> TokensReport:
            return _tokenize_dump(parts, tokenizer, info.digest, folder, engine)

        tokens[dump] = store.materialize(
            ASSET,
            dump,
            make,
            stage_version=STAGE_VERSION,
            settings={},
            inputs={
                "tokenizer": info.digest,
                "normalized_documents": normalized[dump].data_version,
                "documents": _digest_rows(parts),
            },
        )
    return tokens


def _tokenize_dump(
    parts: Sequence[TextPart], tokenizer: Artifact, digest: str, folder: Path, engine: Engine
) -> TokensReport:
    # With one part there is one process, which may then use every core itself.
    threads = len(parts) == 1 and engine.num_workers > 1
    path = tokenizer.path / "tokenizer.json"
    work = [Part(part.pointers.stem, _Task(part, path, digest, threads)) for part in parts]
    results = map_parts(engine, _tokenize_part, work, folder=folder, label="pack: tokenize")
    return TokensReport(
        num_documents=sum(result["num_documents"] for result in results),
        num_tokens=sum(result["num_tokens"] for result in results),
        num_bytes=sum(result["num_bytes"] for result in results),
    )


def _tokenize_part(task: _Task, folder: Path) -> dict[str, Any]:
    """Tokenize the documents of one part, in the order of the pointers."""
    # Where there is one thread anyway, the parallel path of tokenizers 0.23 is 15 % faster than the serial one.
    threads = task.threads or os.environ.get("RAYON_NUM_THREADS") == "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads else "false"
    encoder = _open_encoder(task.tokenizer, task.digest)
    row_in_part = read_part(task.part.pointers, ["row_in_part"])["row_in_part"].to_numpy()
    documents = np.zeros(len(row_in_part), dtype=DOCUMENT)
    batch_bytes = _SHARED_BATCH_BYTES if task.threads else _BATCH_BYTES
    num_tokens = done = 0
    stem = task.part.pointers.stem
    with atomic_path(folder / f"{stem}.ids.bin") as temporary, temporary.open("wb") as stream:
        for selected in read_texts(task.part, row_in_part):
            for texts, num_bytes in _batches(selected.texts, batch_bytes):
                ids, sizes = encoder.encode(texts.to_pylist())
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


class Encoder:
    """Turns texts into documents of ids: begin of text, the text, end of text.

    A special token that is written in a text is text like any other.

    Args:
        path: A tokenizer.json, with tonsai_tokenizer.json beside it.
    """

    def __init__(self, path: Path) -> None:
        info = parse_info((path.parent / INFO_NAME).read_bytes())
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.encode_special_tokens = True
        self._begin, self._end = (info.bos_id,), (info.eos_id,)
        self._dtype = id_dtype(info.padded_vocab_size)

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of all texts end to end, and how many each has, its begin and end included."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        documents = [(self._begin, encoding.ids, self._end) for encoding in encodings]
        sizes = np.array([len(ids) + 2 for _, ids, _ in documents], dtype=np.int64)
        ids = chain.from_iterable(chain.from_iterable(documents))
        return np.fromiter(ids, dtype=self._dtype, count=int(sizes.sum())), sizes


@functools.lru_cache(maxsize=1)
def _open_encoder(path: Path, digest: str) -> Encoder:
    """Open the tokenizer once in a process: tokenizers 0.23 keeps memory of every one that is opened.

    Args:
        path: The tokenizer.json.
        digest: What it holds; a tokenizer that was made anew at the same path is another one.
    """
    del digest
    return Encoder(path)


def _digest_rows(parts: Sequence[TextPart]) -> str:
    """Name the chosen documents: which rows of which parts, and what is masked in them."""
    hasher = hashlib.sha256()
    for part in parts:
        rows = read_part(part.pointers, ["row_in_part"])["row_in_part"].to_numpy()
        hasher.update(f"{part.pointers.name}:{len(rows)}:".encode())
        hasher.update(rows.astype("<i4").tobytes())
        hasher.update(part.mask_id.encode())
    return hasher.hexdigest()
