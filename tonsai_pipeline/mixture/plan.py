"""Documents with token counts, and targets per source -> the order in which the run reads them.

    documents of a source ──permute anew each epoch, cut at the target──▶ a stream
    streams ──merge by how far each is through its own target──▶ Plan(order)

The order is a function of (documents, targets, seed) alone: no worker, machine or library version is in it.
Merging by progress keeps the shares true not only in the sum but in every window of the run, up to one
document per source at each end of the window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: 2^64 / golden ratio, odd.
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Plan:
    """The run as a list of document readings.

    Args:
        order: Index of the document read at each place, int64, shape (num_readings,).
        epoch: Which pass over its source the reading belongs to, from 0; int32, shape (num_readings,).
        stage: Which stage of the run, from 0; int32, shape (num_readings,).
        realised_tokens: Tokens per stage and source, int64, shape (num_stages, num_sources).
    """

    order: npt.NDArray[np.int64]
    epoch: npt.NDArray[np.int32]
    stage: npt.NDArray[np.int32]
    realised_tokens: npt.NDArray[np.int64]


def plan(
    num_tokens: npt.ArrayLike,
    source: npt.ArrayLike,
    target_tokens: npt.ArrayLike,
    *,
    seed: int,
    repeats: npt.ArrayLike | None = None,
    keys: npt.ArrayLike | None = None,
) -> Plan:
    """Order the documents of a run.

    Each source is read in epochs; each epoch is a permutation of its own, and the last is cut at the document
    boundary nearest to the target. In a run of several stages a source goes on where the stage before
    left it.

    Args:
        num_tokens: Tokens of each document, at least 1; shape (num_docs,).
        source: Index of its source, 0..num_sources-1; shape (num_docs,).
        target_tokens: Tokens wanted from each source, shape (num_sources,), or per stage of the run,
            shape (num_stages, num_sources).
        seed: Seed of the permutations, 0..2^63-1.
        repeats: How often each document is read relative to the others of its source (quality buckets,
            rehydration); positive; None for all alike. An epoch still has the tokens of one pass.
        keys: A number that stays with a document when others come and go (a hash of its id), so that
            adding a dump does not reshuffle the rest; shape (num_docs,); None: its index.

    Returns:
        The order.

    Raises:
        ValueError: Shapes differ, a number is out of range, or a source has a target and no documents.

    Example:
        >>> run = plan([10, 10, 10, 30], [0, 0, 0, 1], [40, 60], seed=1)
        >>> len(run.order), run.realised_tokens.tolist()
        (6, [[40, 60]])
        >>> sorted(run.order[(run.epoch == 0)].tolist())
        [0, 1, 2, 3]
    """
    documents, owner, targets = _check(num_tokens, source, target_tokens, repeats, keys)
    streams = [
        _stream(documents, np.flatnonzero(owner == index), targets[:, index], salt=index, seed=seed)
        for index in range(targets.shape[1])
    ]
    order = np.concatenate([stream.order for stream in streams])
    epoch = np.concatenate([stream.epoch for stream in streams])
    stage = np.concatenate([stream.stage for stream in streams])
    progress = np.concatenate([stream.progress for stream in streams])
    owners = np.repeat(np.arange(len(streams)), [len(stream.order) for stream in streams])
    # The last key is the most significant: stage, then progress, then source, then place in the stream.
    merged = np.lexsort((owners, progress, stage))
    realised = np.zeros(targets.shape, dtype=np.int64)
    np.add.at(realised, (stage, owners), documents.tokens[order])
    return Plan(order[merged], epoch[merged], stage[merged], realised)


def random_keys(seed: int, *salts: int, items: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return a pseudo-random 64-bit number for each item; equal arguments, equal numbers, on any machine.

    numpy's generators may change their streams between versions; this is SplitMix64's finalizer.

    Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014).

    Example:
        >>> random_keys(7, items=np.arange(2, dtype=np.uint64)).tolist()
        [5802186646602307193, 3804069750978119562]
    """
    state = np.array([seed], dtype=np.uint64)
    for salt in salts:
        state = _mix(state) + np.uint64(salt)
    return _mix(_mix(state) ^ _mix(items.astype(np.uint64)))


@dataclass(frozen=True)
class _Documents:
    tokens: npt.NDArray[np.int64]
    repeats: npt.NDArray[np.float64]
    keys: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class _Stream:
    order: npt.NDArray[np.int64]
    epoch: npt.NDArray[np.int32]
    stage: npt.NDArray[np.int32]
    progress: npt.NDArray[np.float64]


def _stream(
    documents: _Documents,
    mine: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    *,
    salt: int,
    seed: int,
) -> _Stream:
    """Read one source, the documents `mine`, epoch by epoch until its targets are met."""
    wanted = int(targets.sum())
    if wanted and not len(mine):
        raise ValueError(f"source {salt} is to give {wanted} tokens and has no documents")
    tokens, keys = documents.tokens[mine], documents.keys[mine]
    # Relative repeats, scaled so that an epoch has the tokens of one pass over the source.
    rate = documents.repeats[mine] * (tokens.sum() / max(1.0, documents.repeats[mine] @ tokens))
    jitter = random_keys(seed, salt, items=keys) / 2.0**64
    readings = [np.zeros(0, dtype=np.int64)]
    epochs = [np.zeros(0, dtype=np.int32)]
    num_read, epoch = 0, 0
    while num_read < wanted:
        counts = np.floor((epoch + 1) * rate + jitter) - np.floor(epoch * rate + jitter)
        instances = np.repeat(np.arange(len(mine)), counts.astype(np.int64))
        copy = np.arange(len(instances)) - np.searchsorted(instances, instances)
        salted = keys[instances] + _ODD * copy.astype(np.uint64)
        shuffled = np.argsort(random_keys(seed, salt, epoch + 1, items=salted), kind="stable")
        readings.append(mine[instances[shuffled]])
        epochs.append(np.full(len(instances), epoch, dtype=np.int32))
        num_read += int(tokens[instances].sum())
        epoch += 1
    return _cut(np.concatenate(readings), np.concatenate(epochs), targets, documents.tokens)


def _cut(
    order: npt.NDArray[np.int64],
    epoch: npt.NDArray[np.int32],
    targets: npt.NDArray[np.int64],
    tokens: npt.NDArray[np.int64],
) -> _Stream:
    """Divide a source's readings among the stages at the document boundaries nearest to the targets."""
    ends = np.cumsum(tokens[order])
    middles = ends - tokens[order] / 2
    borders = np.cumsum(targets)
    # A document belongs to the stage that holds its middle: the rounding to the nearest boundary.
    stage = np.searchsorted(borders, middles, side="left").astype(np.int32)
    kept = stage < len(targets)
    start = np.concatenate([[0], borders])[stage[kept]]
    progress = (middles[kept] - start) / np.maximum(targets[stage[kept]], 1)
    return _Stream(order[kept], epoch[kept], stage[kept], progress)


def _check(
    num_tokens: npt.ArrayLike,
    source: npt.ArrayLike,
    target_tokens: npt.ArrayLike,
    repeats: npt.ArrayLike | None,
    keys: npt.ArrayLike | None,
) -> tuple[_Documents, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    tokens = np.asarray(num_tokens, dtype=np.int64)
    owner = np.asarray(source, dtype=np.int64)
    targets = np.atleast_2d(np.asarray(target_tokens, dtype=np.int64))
    ratio = np.ones(len(tokens)) if repeats is None else np.asarray(repeats, dtype=np.float64)
    names = np.arange(len(tokens)) if keys is None else np.asarray(keys)
    if not len(tokens) == len(owner) == len(ratio) == len(names):
        raise ValueError("num_tokens, source, repeats and keys must have one entry a document")
    if len(tokens) and tokens.min() < 1:
        raise ValueError(
            f"a document has {tokens.min()} tokens; leave out documents without tokens"
        )
    if len(owner) and not (owner.min() >= 0 and owner.max() < targets.shape[1]):
        raise ValueError(f"source indices must be in 0..{targets.shape[1] - 1}")
    if targets.size and targets.min() < 0:
        raise ValueError("target_tokens must not be negative")
    if len(ratio) and not (np.isfinite(ratio).all() and ratio.min() > 0):
        raise ValueError(
            "repeats must be positive and finite; leave out documents that are not to be read"
        )
    return _Documents(tokens, ratio, names.astype(np.uint64)), owner, targets


def _mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        value = value + _ODD
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))
