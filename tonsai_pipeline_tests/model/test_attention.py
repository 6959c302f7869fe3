"""Attention must not cross documents, whatever the network, and must equal one pass a document."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)

from tonsai_pipeline.model import attention
from tonsai_pipeline.model.attention import Borders, block_mask
from tonsai_pipeline.model.check import find_leak

_SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": None,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
CONFIGS: dict[str, PretrainedConfig] = {
    "gpt2": GPT2Config(
        vocab_size=97,
        n_positions=64,
        n_embd=32,
        n_layer=2,
        n_head=4,
        bos_token_id=0,
        eos_token_id=1,
    ),
    "llama": LlamaConfig(**_SIZES),
    "qwen3": Qwen3Config(**_SIZES),
    # A window shorter than the documents, in one layer of two.
    "gemma3": Gemma3TextConfig(
        **_SIZES, sliding_window=4, layer_types=["sliding_attention", "full_attention"]
    ),
}


def network(family: str, implementation: str = attention.NAME) -> PreTrainedModel:
    attention.register()
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[family], attn_implementation=implementation)
    return model.eval()


@pytest.mark.parametrize("family", CONFIGS)
def test_no_logit_moves_when_the_document_before_changes(family: str) -> None:
    assert find_leak(network(family), use_varlen=False) == 0.0


def test_the_leak_check_finds_a_leak() -> None:
    model = network("llama", "sdpa")  # ignores our borders
    assert find_leak(model, use_varlen=False) > 1e-4


@pytest.mark.parametrize("family", CONFIGS)
def test_packed_rows_equal_one_pass_per_document(family: str) -> None:
    model, plain = network(family), network(family, "eager")
    plain.load_state_dict(model.state_dict())
    lengths = [[7, 11, 6], [12, 12]]
    ids = torch.randint(0, 97, (2, 24), generator=torch.Generator().manual_seed(1))
    segments = torch.stack(
        [torch.repeat_interleave(torch.arange(len(row)), torch.tensor(row)) for row in lengths]
    )
    places = torch.stack([torch.cat([torch.arange(n) for n in row]) for row in lengths])
    borders = Borders(mask=block_mask(segments)).as_kwargs()
    with torch.no_grad():
        packed = model(ids, position_ids=places, use_cache=False, **borders).logits
        for row, pieces in enumerate(lengths):
            start = 0
            for length in pieces:
                alone = plain(ids[row : row + 1, start : start + length], use_cache=False).logits[0]
                torch.testing.assert_close(
                    packed[row, start : start + length], alone, atol=2e-6, rtol=1e-5
                )
                start += length


def test_attention_without_borders_is_refused() -> None:
    with pytest.raises(ValueError, match="without the borders"):
        network("gpt2")(torch.zeros(1, 4, dtype=torch.long), use_cache=False)


def test_a_softcap_is_refused() -> None:
    x = torch.zeros(1, 1, 2, 8)
    with pytest.raises(ValueError, match="softcap"):
        attention.attend(torch.nn.Identity(), x, x, x, softcap=30.0)


@pytest.mark.gpu
@pytest.mark.parametrize("family", CONFIGS)
def test_the_gpu_kernel_does_not_leak(family: str) -> None:
    model = network(family).to("cuda", torch.bfloat16)
    assert find_leak(model, use_varlen=True) == 0.0
