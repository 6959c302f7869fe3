"""The split: about the share asked for, by the text alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.mixture.split import held_out


def keys(num_docs: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**63, (num_docs, 2)).astype(np.uint64)


def test_the_share_is_met() -> None:
    for frac in (0.01, 0.1, 0.5):
        found = held_out(keys(20_000), frac=frac, seed=3).mean()
        assert abs(found - frac) < 4 * (frac * (1 - frac) / 20_000) ** 0.5
    assert not held_out(keys(1000), frac=0.0, seed=3).any()
    assert held_out(keys(1000), frac=1.0, seed=3).all()


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(40)), st.integers(0, 40), st.integers(0, 2**31 - 1))
def test_a_text_keeps_its_side_in_any_company(order: list[int], size: int, seed: int) -> None:
    texts = keys(40)
    alone = held_out(texts, frac=0.3, seed=seed)
    chosen = np.array(order[:size], dtype=int)
    assert (held_out(texts[chosen], frac=0.3, seed=seed) == alone[chosen]).all()


def test_a_larger_share_holds_out_what_a_smaller_one_does() -> None:
    small, large = (held_out(keys(5000), frac=frac, seed=0) for frac in (0.05, 0.2))
    assert (large | ~small).all()
    assert held_out(keys(5000), frac=0.2, seed=1).tolist() != large.tolist()
