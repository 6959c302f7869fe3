"""The content of tokenizer.json, reduced to words and merges -> a function from many texts to their ids.

    gigatoken: the fastest on text whose words it has seen, opens at once; knows the words of some tokenizers by name
    fastokens: any pattern of words; takes 0.8 s to open

Both are young: pinned, and `Encoder` compares them with `tokenizers` while they run. fastokens has threads, as many as
RAYON_NUM_THREADS says when they start; engines say 1 in their workers, and a process forked from one that has them
goes on with its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.text.utf8 import Utf8Batch

Ids = npt.NDArray[Any]

Encode = Callable[[Utf8Batch], tuple[Ids, npt.NDArray[np.int64]]]
"""Texts -> the ids of all of them end to end, and how many each has."""


def open_gigatoken(tokenizer_json: bytes, *, parallel: bool) -> Encode:
    """Open gigatoken; `parallel` says whether it may use every core.

    Raises:
        ValueError: It does not know these words, or this kind of model.
    """
    import gigatoken

    encoder = gigatoken.Tokenizer.from_json(tokenizer_json)

    def encode(texts: Utf8Batch) -> tuple[Ids, npt.NDArray[np.int64]]:
        layout: Any = encoder.encode_batch(_awkward(texts), parallel=parallel).layout
        lists = layout.to_ListOffsetArray64(start_at_zero=True)
        ends = np.asarray(lists.offsets.data)
        return np.asarray(lists.content.data)[: ends[-1]], np.diff(ends)

    return encode


def open_fastokens(tokenizer_json: bytes, *, parallel: bool) -> Encode:
    """Open fastokens, whose threads are those of the process, whatever `parallel` says.

    Raises:
        ValueError: It does not know this kind of model.
    """
    del parallel
    import fastokens

    encoder = fastokens.Tokenizer.from_json_str(tokenizer_json.decode())

    def encode(texts: Utf8Batch) -> tuple[Ids, npt.NDArray[np.int64]]:
        borders = itertools.pairwise(texts.offsets.tolist())
        said = [bytes(texts.data[first:end]).decode() for first, end in borders]
        ids, ends = encoder.encode_batch_flat(said)
        sizes = np.diff(np.frombuffer(ends, np.uint64).astype(np.int64))
        return np.frombuffer(ids, np.uint32), sizes

    return encode


FAST_ENCODERS: dict[str, Callable[..., Encode]] = {
    "gigatoken": open_gigatoken,
    "fastokens": open_fastokens,
}
"""What opens each, the first that cuts right being taken."""


def _awkward(texts: Utf8Batch) -> Any:
    """Return texts as gigatoken takes them without a copy."""
    # Here and not above: it takes 0.4 s to load, and the graph loads this module.
    import awkward as ak
    from awkward.contents import ListOffsetArray, NumpyArray
    from awkward.index import Index64

    data: Any = texts.data
    chars = NumpyArray(data, parameters={"__array__": "char"})
    strings = ListOffsetArray(Index64(texts.offsets), chars, parameters={"__array__": "string"})
    return ak.Array(strings)
