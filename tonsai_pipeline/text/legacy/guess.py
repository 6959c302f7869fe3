"""Codes of a page -> the table that they are probably of, by how often each code occurs: no text is converted for it.

    counts of 256 codes ──· log p(code | family)──▶ log-likelihood by family ──▶ the best one, and its lead

How often a family uses a code follows from its table: as often as Khmer uses what the code draws. What that is, is counted in the
known sequences of `score`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
import regex

from tonsai_pipeline.compiled import kernel
from tonsai_pipeline.text.legacy.convert import code_pages
from tonsai_pipeline.text.legacy.font_tables import FontTable
from tonsai_pipeline.text.legacy.score import known_sequences
from tonsai_pipeline.text.utf8 import Utf8Batch, decode

#: Weight of what was never seen, beside the weights of what was.
_SMOOTHING = 1e-4
#: Vowels that are drawn in two halves, and as what.
_HALVES = {
    "\u17be": "\u17c1\u17b8",
    "\u17bf": "\u17c1\u17bf",
    "\u17c0": "\u17c1\u17c0",
    "\u17c4": "\u17c1\u17b6",
    "\u17c5": "\u17c1\u17c5",
}
_SYMBOL = regex.compile(r"\u17d2?.", regex.DOTALL)


def guess_tables(
    batch: Utf8Batch, tables: Sequence[FontTable]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the number of each text's likeliest table, and its lead over the next one, in nats."""
    likelihoods = _count_codes(*batch, code_pages()) @ np.stack([_log_probs(t) for t in tables]).T
    ordered = np.sort(likelihoods, axis=1)
    lead = ordered[:, -1] - ordered[:, -2] if len(tables) > 1 else np.full(len(ordered), np.inf)
    return likelihoods.argmax(axis=1), lead


@lru_cache(maxsize=64)
def _log_probs(table: FontTable) -> npt.NDArray[np.float64]:
    """Return the logarithm of each code's share in Khmer text of a family; shape (256,)."""
    codes_of: dict[str, list[bytes]] = {}
    for codes, chars in table.entries.items():
        codes_of.setdefault(chars, []).append(codes)
    weights = np.zeros(256)
    for symbol, share in _symbol_shares().items():
        for codes in codes_of.get(symbol, ()):
            weights[list(codes)] += share / len(codes_of[symbol])
    weights += _SMOOTHING
    return np.log(weights / weights.sum())


@cache
def _symbol_shares() -> dict[str, float]:
    """Return how often what is drawn as one glyph occurs in Khmer."""
    halved = str.maketrans(_HALVES)
    counts = Counter(
        symbol for line in known_sequences() for symbol in _SYMBOL.findall(line.translate(halved))
    )
    total = counts.total()
    return {symbol: count / total for symbol, count in counts.items()}


@kernel
def _count_codes(data, offsets, code_of):
    """Count each code in each text; float64, shape (num_texts, 256)."""
    counts = np.zeros((len(offsets) - 1, 256))
    for text in range(len(counts)):
        at = offsets[text]
        while at < offsets[text + 1]:
            code_point, length = decode(data, at)
            code = code_of[code_point] if code_point < len(code_of) else -1
            if code >= 0:
                counts[text, code] += 1
            at += length
    return counts
