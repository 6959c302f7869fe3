"""Text in Latin letters -> log-odds of one answer against another, by its letter n-grams.

    "the river" -> " t" "th" "the" "the " ... -> slots of a table of weights -> mean weight x scale

A binary question needs one small table: 32,768 weights of one byte. Two are in the package: English against the other
languages, and Khmer in a legacy font against any language and program text. `python -m benchmarks.languages` says what they
were trained on, trains them again and measures them; nothing is downloaded to use them.

Source: Cavnar and Trenkle, "N-Gram-Based Text Categorization" (1994); Weinberger et al., "Feature Hashing for Large
    Scale Multitask Learning" (2009). We differ: weights are learned by logistic regression, not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text.clusters import kind_of
from tonsai_pipeline.text.utf8 import Utf8Batch, decode, frozen

#: Bumped when the same text would get other log-odds.
NGRAMS_VERSION = 1
NUM_SLOTS = 1 << 15
#: Longest n-gram, in characters.
MAX_N = 4
#: n-grams read of a text, from its start: enough to be sure, and a bound on the cost.
MAX_NGRAMS = 8_000
Question = Literal["english", "legacy"]


def ngram_log_odds(
    question: Question, batch: Utf8Batch, wanted: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return the log-odds of English (or of a legacy font), shape (num_texts,).

    What is not in Latin letters is not read; a text without such letters, or that is not `wanted`, has 0.
    """
    return log_odds_of((question,), batch, wanted)[0]


def log_odds_of(
    questions: Sequence[Question], batch: Utf8Batch, wanted: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return the log-odds that `ngram_log_odds` returns for each question, shape (num_questions, num_texts)."""
    weights, scales, biases = zip(*map(_model, questions), strict=True)
    table = frozen(np.stack(weights, axis=1))
    sums, counts = _score(*batch, ch.character_kinds(), table, wanted)
    odds = sums / np.maximum(counts, 1)[:, None] * np.array(scales) + np.array(biases)
    return np.where(counts[:, None] > 0, odds, 0.0).T


def slots_of(text: str) -> npt.NDArray[np.int64]:
    """Return the slot of each n-gram of a text, in order: what the weights are trained on."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    slots = np.empty(min(MAX_NGRAMS, (len(data) + 2) * MAX_N), dtype=np.int64)
    return slots[: _write_slots(frozen(data), 0, len(data), ch.character_kinds(), slots)]


@cache
def _model(question: Question) -> tuple[npt.NDArray[np.int8], float, float]:
    path = resources.files("tonsai_pipeline.text") / f"{question}_ngrams.npz"
    with path.open("rb") as stream, np.load(stream) as saved:
        return frozen(saved["weights"]), float(saved["scale"]), float(saved["bias"])


_PRIME = np.uint64(0x9E3779B97F4A7C15)
_MASK = np.uint64(NUM_SLOTS - 1)


@kernel
def _score(data, offsets, kinds, weights, wanted):
    """Sum the weights of each text's n-grams, a column a question; return sums and numbers."""
    num_texts, num_questions = len(offsets) - 1, weights.shape[1]
    sums = np.zeros((num_texts, num_questions), dtype=np.int64)
    counts = np.zeros(num_texts, dtype=np.int64)
    slots = np.empty(MAX_NGRAMS, dtype=np.int64)
    for text in np.flatnonzero(wanted):
        num = _write_slots(data, offsets[text], offsets[text + 1], kinds, slots)
        for question in range(num_questions):
            total = np.int64(0)
            for i in range(num):
                total += weights[slots[i], question]
            sums[text, question] = total
        counts[text] = num
    return sums, counts


@kernel
def _write_slots(data, at, end, kinds, slots):
    """Write the slots of the n-grams that end at each letter or word end; return how many.

    Letters are read in lower case (ASCII); a run of anything else is one space.
    """
    # The last characters, newest first: as numbers of their own they stay in registers.
    first, second, third, fourth = np.uint64(0x20), np.uint64(0), np.uint64(0), np.uint64(0)
    num, known = 0, 1
    while at < end and num + MAX_N <= len(slots):
        code_point, length = np.int64(data[at]), 1
        if code_point >= 0x80:
            code_point, length = decode(data, at)
        at += length
        is_letter = kind_of(code_point, kinds) == ch.LATIN
        if not is_letter and first == 0x20:
            continue
        if 0x41 <= code_point <= 0x5A:
            code_point |= 0x20
        fourth, third, second = third, second, first
        first = np.uint64(code_point if is_letter else 0x20)
        known = min(known + 1, MAX_N)
        hashed = _hash_on(np.uint64(0), first)
        slots[num] = _slot(hashed)
        hashed = _hash_on(hashed, second)
        slots[num + 1] = _slot(hashed)
        num += 2
        if known > 2:
            hashed = _hash_on(hashed, third)
            slots[num] = _slot(hashed)
            num += 1
        if known > 3:
            slots[num] = _slot(_hash_on(hashed, fourth))
            num += 1
    return num


@inner
def _hash_on(hashed, character):
    """Return the hash of an n-gram with one more character in front."""
    hashed = (hashed + character + np.uint64(1)) * _PRIME
    return hashed ^ (hashed >> np.uint64(29))


@inner
def _slot(hashed):
    return np.int64((hashed >> np.uint64(17)) & _MASK)
