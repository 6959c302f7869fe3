"""Signatures are datasketch's, bit for bit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.dedup.minhash import (
    EMPTY_HASH,
    SignatureScheme,
    estimate_jaccard,
    fold32,
    make_permutations,
    sign_keys,
    sign_shingles,
)
from tonsai_pipeline.dedup.shingles import Shingles, shingle

_TEXTS = [
    "",
    "?",
    "ភាសា",
    "ភាសាខ្មែរជាភាសាផ្លូវការរបស់ព្រះរាជាណាចក្រកម្ពុជានិងជាភាសាកំណើតរបស់ប្រជាជនខ្មែរ",
    "the quick brown fox jumps over the lazy dog and runs away from the angry farmer",
    "word " * 5000,
    " ".join(str(number) for number in range(6000)),
]


def _datasketch(hashes: np.ndarray, num_perm: int, seed: int) -> np.ndarray:
    oracle = MinHash(num_perm=num_perm, seed=seed, scheme="affine32", hashfunc=int)
    oracle.update_batch([int(fold32(value)) for value in hashes])
    return oracle.hashvalues


@pytest.mark.parametrize(("num_perm", "seed"), [(128, 1), (128, 42), (64, 7), (37, 1)])
def test_kernel_equals_datasketch(num_perm, seed):
    scheme = SignatureScheme(num_perm=num_perm, seed=seed)
    keys = pa.array(_TEXTS, pa.large_string())
    signed = sign_keys(keys, scheme, scheme.permutations())
    shingles = shingle(keys)
    for doc in range(len(_TEXTS)):
        expected = _datasketch(shingles.of(doc), num_perm, seed)
        assert signed.values[doc].dtype == expected.dtype
        assert (signed.values[doc] == expected).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=40), max_size=4))
def test_any_hashes_sign_as_in_datasketch(lists):
    offsets = np.concatenate([[0], np.cumsum([len(values) for values in lists])]).astype(np.int64)
    flat = np.array([value for values in lists for value in values], dtype=np.uint64)
    signed = sign_shingles(Shingles(flat, offsets), make_permutations(32, 3))
    for doc, values in enumerate(lists):
        assert (signed.values[doc] == _datasketch(np.array(values, np.uint64), 32, 3)).all()


def test_documents_without_shingles_are_empty_as_in_datasketch():
    scheme = SignatureScheme(num_perm=16)
    signed = sign_keys(pa.array(["", "..."]), scheme, scheme.permutations())
    assert (signed.values == EMPTY_HASH).all()
    assert signed.num_shingles.tolist() == [0, 0]
    assert MinHash(hashvalues=signed.values[0], scheme="affine32").is_empty()


def test_estimate_is_close_to_the_exact_similarity():
    words = [f"w{number}" for number in range(2000)]
    left, right = " ".join(words), " ".join(words[:1800])
    scheme = SignatureScheme(num_perm=512)
    signed = sign_keys(pa.array([left, right]), scheme, scheme.permutations())
    sets = [set(shingle(pa.array([text])).hashes.tolist()) for text in (left, right)]
    exact = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    assert abs(float(estimate_jaccard(*signed.values)) - exact) < 0.05


def test_scheme_id_names_everything_that_changes_the_bits():
    base = SignatureScheme()
    others = [
        SignatureScheme(num_perm=64),
        SignatureScheme(seed=2),
        SignatureScheme(clusters_per_shingle=10),
        SignatureScheme(words_per_shingle=4),
        SignatureScheme(key_version="0"),
    ]
    assert len({scheme.scheme_id for scheme in [base, *others]}) == 6
    assert base.scheme_id == SignatureScheme().scheme_id


def test_permutations_of_another_length_are_refused():
    with pytest.raises(ValueError, match="16 permutations for num_perm=128"):
        sign_keys(pa.array(["a"]), SignatureScheme(), make_permutations(16, 1))
