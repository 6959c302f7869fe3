"""Rows of conversations and a tuned model -> whether it gives back the replies that it learned more often than others.

    a conversation with half of its last reply ──greedy──▶ the other half, equal or not: learned ones, held-out ones

A right answer is given back without being memorized; held-out conversations of the same sources are the control.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.evaluate.memorization import (
    HELD_OUT_REPLIES,
    LEARNED_REPLIES,
    Memorized,
    measure_group,
)
from tonsai_pipeline.evaluate.subject import Subject
from tonsai_pipeline.recipe.evaluate import MemorizationConfig
from tonsai_pipeline.storage.rows import Row
from tonsai_pipeline.storage.shards import RowReader

#: Tokens of a reply at least: less than four are given back by chance. Ours.
_MIN_TOKENS = 8
#: Replies are right or wrong and documents mostly neither, so a share of them needs more to be told from another. Ours.
_TIMES_DOCUMENTS = 4


class Half(NamedTuple):
    """What the model is given, and what it must go on with; ids."""

    given: bytes
    rest: bytes


def attack_replies(
    subject: Subject, rows_dir: Path, config: MemorizationConfig, *, seed: int = 0
) -> list[Memorized]:
    """Give the model conversations up to the middle of a reply and compare what comes next.

    Args:
        subject: The model that was tuned on the rows, with its tokenizer.
        rows_dir: `train/` and `val_replies/`, which say what is learned.
        config: Tokens that must be given back at most, and how many documents are tried.
        seed: Which replies are tried.

    Returns:
        Learned replies and held-out ones; nothing where either has none of `_MIN_TOKENS`.
    """
    size = config.prefix_tokens
    learned = set(_halves(RowReader(rows_dir / "train"), size))
    pools = {
        LEARNED_REPLIES: learned,
        HELD_OUT_REPLIES: set(_halves(RowReader(rows_dir / "val_replies"), size)) - learned,
    }
    if not all(pools.values()):
        return []
    generator = np.random.default_rng(seed)
    found = []
    for group, pool in pools.items():
        order = generator.permutation(len(pool))[: _TIMES_DOCUMENTS * config.max_documents]
        halves = [sorted(pool)[place] for place in order]
        given, rest = zip(*(map(_ids, half) for half in halves), strict=True)
        found.append(measure_group(subject, group, given, rest))
    return found


def _halves(reader: RowReader, size: int) -> Iterator[Half]:
    """Yield every conversation cut in the middle of its last reply, `size` tokens of the rest at most."""
    for number in range(reader.num_rows):
        row = reader.row(number)
        for start, end in zip(row.cu_seqlens[:-1], row.cu_seqlens[1:], strict=True):
            if (reply := _last_reply(row, int(start), int(end))) is not None:
                middle = (reply.start + reply.stop) // 2
                ids = row.input_ids
                rest = ids[middle : min(reply.stop, middle + size)]
                yield Half(ids[start:middle].tobytes(), rest.tobytes())


def _last_reply(row: Row, start: int, end: int) -> slice | None:
    """Return where the last reply of a segment stands, without its end; None in a document, and of a short one."""
    assert row.learned is not None, "rows of conversations say what is learned"
    learned = row.learned[start:end]
    # A document is learned from its first token.
    if learned[0] or not learned.any():
        return None
    places = np.flatnonzero(learned)
    last = int(places[-1])
    gaps = np.flatnonzero(np.diff(places) > 1)
    first = int(places[gaps[-1] + 1]) if len(gaps) else int(places[0])
    if last - first < _MIN_TOKENS:
        return None
    return slice(start + first, start + last)


def _ids(data: bytes) -> npt.NDArray[np.int64]:
    return np.frombuffer(data, np.int64)
