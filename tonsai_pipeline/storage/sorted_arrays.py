"""Sorted runs on disk: (key, value) entries <-> three arrays that give back any range of keys.

    keys, values ──write_sorted──▶ <name>.keys.npy, <name>.values.npy, <name>.bounds.npy ──read_sorted──▶ a range

A key's range is its first 12 bits, so a shuffle is a layout of files: every part writes one sorted run, and a
join of range r reads the same narrow slice of every run. Keys must be spread evenly (hashes are).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.storage.files import atomic_path

#: Ranges that a run can be cut into; a join may take several at a time.
NUM_RANGES = 4096
_SHIFT = np.uint64(52)


def write_sorted(folder: Path, name: str, keys: np.ndarray, values: np.ndarray) -> None:
    """Sort entries by key, equal keys in the order given, and write them.

    Args:
        folder: Where to write.
        name: Name of the run.
        keys: uint64, shape (num_entries,).
        values: Any dtype without Python objects, first axis (num_entries,).
    """
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    prefixes = (np.arange(1, NUM_RANGES, dtype=np.uint64)) << _SHIFT
    inner = np.searchsorted(keys, prefixes, side="left")
    bounds = np.concatenate([[0], inner, [len(keys)]]).astype(np.int64)
    save_array(folder / f"{name}.keys.npy", keys)
    save_array(folder / f"{name}.values.npy", values[order])
    save_array(folder / f"{name}.bounds.npy", bounds)


def read_sorted(folder: Path, name: str, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (keys, values) of the ranges `first` up to but not including `last`, in key order.

    Both are read-only views of the mapped files: what is not looked at is not read.
    """
    bounds = load_array(folder / f"{name}.bounds.npy")
    start, stop = int(bounds[first]), int(bounds[last])
    keys = load_array(folder / f"{name}.keys.npy", mapped=True)[start:stop]
    values = load_array(folder / f"{name}.values.npy", mapped=True)[start:stop]
    return np.asarray(keys), np.asarray(values)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as `.npy`, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def load_array(path: Path, *, mapped: bool = False) -> np.ndarray:
    """Read an array, or map it into memory.

    Raises:
        DataError: The file is missing or is not an array; the message names it.
    """
    try:
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable array: {error}; run the stage again") from error
