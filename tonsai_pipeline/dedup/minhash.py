"""Shingles -> MinHash signatures, the same bits as `datasketch`.

    dedup keys ──shingle──▶ 64-bit hashes ──fold to 32 bits, permute, minimum──▶ uint32 (num_docs, num_perm)

One numba kernel goes from Arrow buffers to the matrix; nothing runs in Python per shingle. The
permutations are datasketch's (`scheme="affine32"`), so a row of the matrix can be handed to
`datasketch.MinHash(hashvalues=row, scheme="affine32")` and used with everything that library has.

Source:
    Broder 1997, "On the resemblance and containment of documents"; datasketch 2.0, `MinHash`, affine32.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.dedup.shingle_units import cut, make_cutter, make_scratch
from tonsai_pipeline.dedup.shingles import (
    CLUSTERS_PER_SHINGLE,
    SHINGLE_VERSION,
    WORDS_PER_SHINGLE,
    Shingles,
    check_window,
    shingle,
    shingle_sets,
    string_buffers,
)

#: Every hash value of a document without shingles, as in datasketch.
EMPTY_HASH = np.uint32(0xFFFFFFFF)

_SCHEME = "affine32"


class Permutations(NamedTuple):
    """Random bijections `h -> a * h + b mod 2^32`; `a` odd; uint32 arrays, shape (num_perm,) each."""

    a: np.ndarray
    b: np.ndarray


@dataclass(frozen=True)
class SignatureScheme:
    """Everything that decides the bits of a signature.

    Args:
        num_perm: Hash values in a signature; the error of a Jaccard estimate is about 1/(2 sqrt(num_perm)).
        seed: Seed of the permutations.
        clusters_per_shingle: Khmer clusters in a shingle.
        words_per_shingle: Words in a shingle.
        key_version: Version of the folding that made the keys.
    """

    num_perm: int = 128
    seed: int = 1
    clusters_per_shingle: int = CLUSTERS_PER_SHINGLE
    words_per_shingle: int = WORDS_PER_SHINGLE
    key_version: str = "1"

    @property
    def scheme_id(self) -> str:
        """Name of the scheme; signatures may be compared if and only if their names are equal.

        Example:
            >>> SignatureScheme().scheme_id == SignatureScheme(seed=2).scheme_id
            False
        """
        said = (
            f"tonsai-minhash|{_SCHEME}|shingles={SHINGLE_VERSION}|key={self.key_version}|"
            f"{self.num_perm}|{self.seed}|{self.clusters_per_shingle}|{self.words_per_shingle}"
        )
        return f"{_SCHEME}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"

    def permutations(self) -> Permutations:
        """Return the scheme's permutations."""
        return make_permutations(self.num_perm, self.seed)

    def shingle_sets(self, keys: pa.Array) -> Shingles:
        """Cut dedup keys with the scheme's windows and return the set of each, to be compared exactly."""
        return shingle_sets(
            shingle(
                keys,
                clusters_per_shingle=self.clusters_per_shingle,
                words_per_shingle=self.words_per_shingle,
            )
        )


@dataclass(frozen=True)
class Signatures:
    """Signatures of many documents.

    Args:
        values: uint32, shape (num_docs, num_perm).
        num_shingles: Windows per document, repeats included; int32, shape (num_docs,). 0: nothing to compare.
    """

    values: np.ndarray
    num_shingles: np.ndarray


def make_permutations(num_perm: int, seed: int) -> Permutations:
    """Return the permutations of `datasketch.MinHash(num_perm, seed, scheme="affine32")`.

    Drawn here as there: to import datasketch is to load SciPy, 0.7 s before the first document of a stage.
    """
    generator = np.random.RandomState(seed)
    odd = generator.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return Permutations(odd, generator.randint(0, 1 << 32, num_perm, dtype=np.uint32))


def sign_keys(keys: pa.Array, scheme: SignatureScheme, permutations: Permutations) -> Signatures:
    """Sign every dedup key.

    Args:
        keys: `string` or `large_string` array, shape (num_docs,).
        scheme: The scheme; its window sizes are used.
        permutations: `scheme.permutations()`, made once by the caller.

    Raises:
        ValueError: `keys` is not an array of strings, a window is out of range, or the permutations are
            not as many as the scheme says.

    Example:
        >>> scheme = SignatureScheme(num_perm=16)
        >>> text = "one two three four five six seven"
        >>> signed = sign_keys(pa.array([text, text, ""]), scheme, scheme.permutations())
        >>> signed.num_shingles.tolist(), bool((signed.values[0] == signed.values[1]).all())
        ([3, 3, 0], True)
    """
    check_window(scheme.clusters_per_shingle, scheme.words_per_shingle)
    if len(permutations.a) != scheme.num_perm:
        raise ValueError(f"{len(permutations.a)} permutations for num_perm={scheme.num_perm}")
    data, offsets = string_buffers(keys)
    values = np.full((len(keys), scheme.num_perm), EMPTY_HASH, dtype=np.uint32)
    num_shingles = np.zeros(len(keys), dtype=np.int32)
    cutter = make_cutter(scheme.clusters_per_shingle, scheme.words_per_shingle)
    _sign_batch(data, offsets, cutter, permutations.a, permutations.b, values, num_shingles)
    return Signatures(values, num_shingles)


def sign_shingles(shingles: Shingles, permutations: Permutations) -> Signatures:
    """Sign documents whose shingles are already hashed; the same result as `sign_keys`."""
    num_docs = shingles.num_docs
    values = np.full((num_docs, len(permutations.a)), EMPTY_HASH, dtype=np.uint32)
    _sign_hashes(shingles.hashes, shingles.offsets, permutations.a, permutations.b, values)
    return Signatures(values, np.diff(shingles.offsets).astype(np.int32))


def estimate_jaccard(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the share of equal hash values, an unbiased estimate of the Jaccard similarity.

    Args:
        left: uint32, shape (..., num_perm).
        right: The same shape.
    """
    return np.mean(left == right, axis=-1)


@kernel
def fold32(shingle_hash):
    """Fold a 64-bit shingle hash to the 32 bits that affine32 permutes."""
    return np.uint32((shingle_hash ^ (shingle_hash >> np.uint64(32))) & np.uint64(0xFFFFFFFF))


@kernel
def _sign_batch(data, offsets, cutter, a, b, values, num_shingles):
    num_docs = len(offsets) - 1
    longest = np.int64(0)
    for doc in range(num_docs):
        longest = max(longest, offsets[doc + 1] - offsets[doc])
    hashes = np.empty(longest // 2 + 2, dtype=np.uint64)
    scratch = make_scratch()
    for doc in range(num_docs):
        found = cut(data, offsets[doc], offsets[doc + 1], cutter, scratch, hashes)
        num_shingles[doc] = found
        _minimize(hashes[:found], a, b, values[doc])


@kernel
def _sign_hashes(hashes, offsets, a, b, values):
    for doc in range(len(offsets) - 1):
        _minimize(hashes[offsets[doc] : offsets[doc + 1]], a, b, values[doc])


@inner
def _minimize(hashes, a, b, row):
    """Lower each value of `row` to the minimum of its permutation over `hashes`.

    Four shingles at a time: the inner loop is one over permutations without a carried value, so it
    becomes vector instructions, and `row` is read and written a quarter as often.
    """
    whole = len(hashes) & ~3
    for i in range(0, whole, 4):
        first = _mix32(fold32(hashes[i]))
        second = _mix32(fold32(hashes[i + 1]))
        third = _mix32(fold32(hashes[i + 2]))
        fourth = _mix32(fold32(hashes[i + 3]))
        for k in range(len(a)):
            scale, shift = a[k], b[k]
            left = min(np.uint32(scale * first + shift), np.uint32(scale * second + shift))
            right = min(np.uint32(scale * third + shift), np.uint32(scale * fourth + shift))
            row[k] = min(row[k], left, right)
    for i in range(whole, len(hashes)):
        mixed = _mix32(fold32(hashes[i]))
        for k in range(len(a)):
            row[k] = min(row[k], np.uint32(a[k] * mixed + b[k]))


@inner
def _mix32(value):
    """Scramble 32 bits (the finalizer of MurmurHash3), as affine32 does before permuting."""
    value = np.uint32(value ^ (value >> np.uint32(16)))
    value = np.uint32(value * np.uint32(0x85EBCA6B))
    value = np.uint32(value ^ (value >> np.uint32(13)))
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))
