"""Log-likelihoods of the choices of an item -> which one a model prefers, by three norms.

    logprobs (n,), bytes (n,), without the prompt (n,) ──choose──▶ raw, per byte, PMI; bits per byte of the right one

Raw sums favour short answers. Per byte is fair among choices of one script; PMI takes away how likely a choice is by
itself, and is the one to read where choices are short labels.

Source: Brown et al. 2020 (per length and by the unconditional likelihood); Gu et al. 2024, arXiv:2406.08446 (cloze form).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Choice:
    """What a model prefers.

    Args:
        raw: Index of the choice with the highest log-likelihood.
        per_byte: The same divided by UTF-8 bytes.
        pmi: The same minus the log-likelihood without the prompt; None where that was not measured.
        gold_bits_per_byte: Of the right answer: moves long before the choices do.
    """

    raw: int
    per_byte: int
    pmi: int | None
    gold_bits_per_byte: float


def choose(
    logprobs: Sequence[float],
    num_bytes: Sequence[int],
    gold: int,
    unconditional: Sequence[float] | None = None,
) -> Choice:
    """Compare the choices of one item.

    Args:
        logprobs: Of each choice after the prompt, in nats.
        num_bytes: UTF-8 bytes of each choice, the space before it not counted.
        gold: Index of the right one.
        unconditional: Of each choice without the prompt.

    Example:
        >>> found = choose([-2.0, -3.0], [2, 6], gold=1, unconditional=[-1.0, -9.0])
        >>> found.raw, found.per_byte, found.pmi, round(found.gold_bits_per_byte, 3)
        (0, 1, 1, 0.721)
    """
    scores, sizes = np.asarray(logprobs), np.asarray(num_bytes)
    pmi = None if unconditional is None else int(np.argmax(scores - np.asarray(unconditional)))
    return Choice(
        raw=int(np.argmax(scores)),
        per_byte=int(np.argmax(scores / sizes)),
        pmi=pmi,
        gold_bits_per_byte=-float(scores[gold]) / (math.log(2) * int(sizes[gold])),
    )
