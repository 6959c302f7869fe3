"""Many texts -> their ids end to end, by a fast encoder that is compared with `tokenizers` while it runs.

    texts ──plain, nearly all─────────────────────────────────┬─gigatoken or fastokens──▶ ids ─┐
          └─others──needs the normalizer?──[normalized]───────┘                                │
                  └─written after their Unicode tables──▶ tokenizers ──▶ ids ──────────────────┴─▶ begin, ids, end of each
    one text a batch ──tokenizers──▶ the same ids, or WrongIdsError

gigatoken has no normalizer but NFC, and cuts Khmer in a sixth of the time. The corpus is normalized already, so only texts
in which tokenizer.json would still change something go through its normalizer.
"""

# pyarrow.compute makes its functions when it is loaded; no checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.utf8 import batch_of_arrow
from tonsai_pipeline.tokenizer.assemble import (
    COENG_DA,
    ZWSP_BESIDE_KHMER,
    TokenizerInfo,
    probe_texts,
)
from tonsai_pipeline.tokenizer.fast_encoders import FAST_ENCODERS, Ids
from tonsai_pipeline.tokenizer.plain_text import plain_texts
from tonsai_pipeline.tokenizer.quick_open import collector_paused, open_tokenizer

T = TypeVar("T")

#: What a text must hold for a step of our own normalizer to change it.
_TRIGGERS = {
    ZWSP_BESIDE_KHMER: chr(cp.ZWSP),
    chr(cp.BOM): chr(cp.BOM),
    COENG_DA: f"{chr(cp.COENG)}{chr(cp.LETTER_DA)}",
}


#: Text of which one document is compared with `tokenizers`, in bytes; and how many bytes of text each byte that is
#: compared stands for at least: `tokenizers` takes up to 60 times as long, so that is 6 % of the time at most.
_COMPARE_EVERY_BYTES, _COMPARE_ONE_BYTE_OF = 1 << 20, 1024

#: Text after which a fast encoder is opened anew, in bytes: it keeps every word that it has seen, gigatoken three bytes a
#: byte of text.
_REOPEN_EVERY_BYTES = 32 << 20


class WrongIdsError(Exception):
    """The fast encoder gave a text other ids than `tokenizers`; what it gave before is not to be trusted."""


def fast_or_plain(work: Callable[[bool], T], name: str) -> T:
    """Do work on texts with the fast encoder; all of it without, and say so, if that gives one of them other ids.

    Args:
        work: Called with whether to use the fast encoder.
        name: Of what is encoded, for the warning.
    """
    try:
        return work(True)
    except WrongIdsError as error:
        warnings.warn(
            f"{name}: {error} than tokenizer.json says; it is encoded by `tokenizers`",
            RuntimeWarning,
            stacklevel=2,
        )
        return work(False)


def holds_unassigned(text: str) -> bool:
    r"""Return whether a code point is in a text that Python's Unicode tables do not know: the two encoders may differ there.

    Example:
        >>> holds_unassigned("\u1780\n\t\u200b"), holds_unassigned("\u17de")
        (False, True)
    """
    # Lines of most text are printable, which is told at half a GB a second; what is unassigned is not.
    if text.isascii() or text.replace("\n", "").isprintable():
        return False
    return any(unicodedata.category(char) == "Cn" for char in set(text))


class Encoder:
    """Turns texts into documents of ids: begin of text, the text, end of text.

    A special token that is written in a text is text like any other.

    Args:
        tokenizer_json: The content of tokenizer.json.
        info: What belongs to it.
        dtype: Type of the ids.
        fast: Whether to look for a fast encoder at all.
        parallel: Whether to use every core.
    """

    def __init__(
        self,
        tokenizer_json: bytes,
        info: TokenizerInfo,
        dtype: npt.DTypeLike,
        *,
        fast: bool = True,
        parallel: bool = False,
    ) -> None:
        self._begin, self._end = info.bos_id, info.eos_id
        self._dtype, self._parallel = dtype, parallel
        self._num_batches = 0
        self._bytes_to_compare = 0
        self._triggers: list[str] = []
        self._words: list[str] = []
        self._fast: Any = None
        self._open: Any = None
        self._name = ""
        self._kept_bytes = 0
        with collector_paused():
            state = orjson.loads(tokenizer_json)
            self._plain = open_tokenizer(state)
            self._plain.encode_special_tokens = True
            if fast:
                self._open_fast(state)

    @property
    def is_fast(self) -> bool:
        """Whether a fast encoder was found that cuts the probe texts as `tokenizers` does."""
        return self._fast is not None

    def encode(self, texts: pa.Array) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Return the ids of all texts end to end, and how many each has, its begin and end included.

        Raises:
            WrongIdsError: The text that was compared has other ids.
        """
        if self.is_fast:
            bodies, sizes = self._encode_fast(texts)
            self._compare(texts, bodies, sizes)
        else:
            bodies, sizes = self._encode_plain(texts)
        ends = np.cumsum(sizes + 2)
        ids = np.empty(int(ends[-1]) if len(ends) else 0, dtype=self._dtype)
        is_body = np.ones(len(ids), dtype=bool)
        is_body[ends - sizes - 2] = is_body[ends - 1] = False
        ids[is_body] = bodies
        ids[ends - sizes - 2], ids[ends - 1] = self._begin, self._end
        return ids, sizes + 2

    def _encode_plain(self, texts: pa.Array) -> tuple[Ids, npt.NDArray[np.int64]]:
        encodings = self._plain.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        found = [encoding.ids for encoding in encodings]
        sizes = np.array([len(ids) for ids in found], dtype=np.int64)
        return np.fromiter((i for ids in found for i in ids), np.uint32, int(sizes.sum())), sizes

    def _encode_fast(self, texts: pa.Array) -> tuple[Ids, npt.NDArray[np.int64]]:
        batch = batch_of_arrow(texts)
        others = np.flatnonzero(~plain_texts(batch)).tolist()
        said: dict[int, str] = {place: texts[place].as_py() for place in others}
        normal = {place: self._normalized(text) for place, text in said.items()}
        if normal != said:
            batch = batch_of_arrow(_replaced(texts, normal))
        ids, sizes = self._fast(batch)
        self._kept_bytes += texts.nbytes
        if self._kept_bytes > _REOPEN_EVERY_BYTES:
            self._kept_bytes = 0
            self._fast = self._open()
        places = self._only_for_plain(texts, said)
        if places:
            known, known_sizes = self._encode_plain(texts.take(pa.array(places)))
            pieces = np.split(ids, np.cumsum(sizes)[:-1])
            for place, piece in zip(
                places, np.split(known, np.cumsum(known_sizes)[:-1]), strict=True
            ):
                pieces[place] = piece
            ids, sizes = np.concatenate(pieces), np.array([len(piece) for piece in pieces])
        return ids, sizes

    def _normalized(self, text: str) -> str:
        normalizer = self._plain.normalizer
        if normalizer is None:
            return text
        if unicodedata.is_normalized("NFC", text) and not any(
            trigger in text for trigger in self._triggers
        ):
            return text
        return normalizer.normalize_str(text)

    def _only_for_plain(self, texts: pa.Array, others: Mapping[int, str]) -> list[int]:
        """Return the places of texts of which only `tokenizers` is sure; `others` are those that are not plain."""
        unsure = {place for place, text in others.items() if holds_unassigned(text)}
        for word in self._words:
            unsure.update(np.flatnonzero(pc.match_substring(texts, word)).tolist())
        return sorted(unsure)

    def _compare(self, texts: pa.Array, ids: Ids, sizes: npt.NDArray[np.int64]) -> None:
        """Compare one text, now and then, each time at another place of the batch."""
        self._bytes_to_compare -= texts.nbytes
        if not len(texts) or self._bytes_to_compare > 0:
            return
        place = self._num_batches * 7919 % len(texts)
        self._num_batches += 1
        size = texts.slice(place, 1).nbytes
        self._bytes_to_compare = max(_COMPARE_EVERY_BYTES, size * _COMPARE_ONE_BYTE_OF)
        expected, _ = self._encode_plain(texts.slice(place, 1))
        first = int(sizes[:place].sum())
        if not np.array_equal(ids[first : first + sizes[place]], expected):
            raise WrongIdsError(f"{self._name} cuts {texts[place].as_py()[:80]!r} otherwise")

    def _open_fast(self, state: dict[str, Any]) -> None:
        """Find a fast encoder for this tokenizer, if there is one."""
        triggers = _normalizer_triggers(state["normalizer"])
        if triggers is None:
            return
        # Special tokens in a text are text; the others stay tokens, which only `tokenizers` is asked to find.
        self._words = [token["content"] for token in state["added_tokens"] if not token["special"]]
        self._triggers = triggers
        reduced = orjson.dumps(
            state | {"normalizer": None, "added_tokens": [], "post_processor": None}
        )
        probes = pa.array(probe_texts(), pa.large_string())
        expected = self._encode_plain(probes)
        for self._name, opened in FAST_ENCODERS.items():
            self._open = partial(opened, reduced, parallel=self._parallel)
            try:
                self._fast = self._open()
                found = self._encode_fast(probes)
            except (ValueError, RuntimeError, NotImplementedError):
                continue
            if all(map(np.array_equal, found, expected)):
                return
        self._fast = None


def _replaced(texts: pa.Array, others: Mapping[int, str]) -> pa.Array:
    """Return texts with others in some places."""
    said = texts.to_pylist()
    for place, text in others.items():
        said[place] = text
    return pa.array(said, pa.large_string())


def _normalizer_triggers(normalizer: dict[str, Any] | None) -> list[str] | None:
    """Return what a text must hold to be changed beyond NFC, None for a normalizer that is not ours."""
    steps = [] if normalizer is None else normalizer.get("normalizers", [normalizer])
    found = []
    for step in steps:
        pattern = next(iter(step.get("pattern", {}).values()), None)
        if step["type"] == "Replace" and pattern in _TRIGGERS:
            found.append(_TRIGGERS[pattern])
        elif step["type"] != "NFC":
            return None
    return found
