"""Units of text that merges begin with: bytes, and whole Khmer stacks."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.tokenizer.pretokenize import (
    cluster_pieces,
    split_words,
)
from tonsai_pipeline.tokenizer.units import choose_units, is_nameable
from tonsai_pipeline_tests.stages.mixtures import khmer_texts
from tonsai_pipeline_tests.text.samples import any_text


@given(st.lists(any_text, max_size=6), any_text, st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_units_written_out_are_the_text(said: list[str], text: str, max_stacks: int) -> None:
    counts = Counter(word for one in said for word in split_words(one))
    units = choose_units({w: n * 2 for w, n in counts.items()}, 0, max_stacks)
    if is_nameable(text):
        assert units.expand(units.encode(text)) == text


def test_every_stack_has_its_beginning() -> None:
    counts = Counter(word for text in khmer_texts(150, seed=1) for word in split_words(text))
    units = choose_units(counts, 0, max_stacks=40)
    assert len(units.stacks) == 40
    known = set(units.stacks)
    for stack in units.stacks:
        *beginning, _ = cluster_pieces(stack)
        assert len(beginning) == 1 or "".join(beginning) in known
