"""Writing is repeatable, stays inside the vocabulary and the context, and equals the slow way."""

from __future__ import annotations

import pytest
import torch

from tonsai_pipeline.model.generate import allowed_tokens, generate
from tonsai_pipeline_tests.train import tiny

EVERYTHING = allowed_tokens(320, 320, [])


@pytest.fixture(scope="module")
def model():
    return tiny.network()


def test_the_same_seed_writes_the_same_text(model) -> None:
    def write(seed: int) -> list[int]:
        return generate(model, [0, 5], max_new_tokens=20, allowed=EVERYTHING, eos_id=1, seed=seed)

    assert write(1) == write(1) != write(2)


def test_greedy_writing_with_a_cache_equals_rereading_everything(model) -> None:
    written = generate(
        model, [0, 9, 8], max_new_tokens=12, allowed=EVERYTHING, eos_id=1, temperature=0.0
    )
    ids = [0, 9, 8]
    model.set_attn_implementation("eager")
    with torch.no_grad():
        for _ in written:
            ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    model.set_attn_implementation("tonsai_varlen")
    assert ids[3:] == written


def test_padding_rows_and_markers_are_never_written(model) -> None:
    allowed = allowed_tokens(320, 259, [0, 2])
    written = generate(
        model, [0], max_new_tokens=60, allowed=allowed, eos_id=1, temperature=5.0, top_p=1.0
    )
    assert written
    assert max(written) < 259
    assert not {0, 2} & set(written)


def test_writing_stops_at_eos_and_at_the_end_of_the_context(model) -> None:
    only_eos = torch.zeros(320, dtype=torch.bool)
    only_eos[1] = True
    assert generate(model, [0], max_new_tokens=5, allowed=only_eos, eos_id=1) == []
    long = generate(model, [0] * 60, max_new_tokens=50, allowed=EVERYTHING, eos_id=-1)
    assert len(long) == 4


def test_a_prompt_that_fills_the_context_is_refused(model) -> None:
    with pytest.raises(ValueError, match="prompt of 64 tokens"):
        generate(model, [0] * 64, max_new_tokens=1, allowed=EVERYTHING, eos_id=1)


def test_the_model_is_left_as_it_was(model) -> None:
    model.train()
    generate(model, [0], max_new_tokens=1, allowed=EVERYTHING, eos_id=1)
    assert model.training
    assert model.config._attn_implementation == "tonsai_varlen"
