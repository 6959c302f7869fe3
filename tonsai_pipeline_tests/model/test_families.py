"""Every family has its own numbers here, or is refused by name: never a wrong loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model import check
from tonsai_pipeline.model.attention import Borders, attend
from tonsai_pipeline.model.build import build_model, load_model
from tonsai_pipeline.model.loss import NextTokenLoss
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline_tests.model.emulated_kernel import emulated
from tonsai_pipeline_tests.model.families import GREEN, REFUSED, write_config


def build(folder: Path, model_type: str, sizes: dict, **section):
    config = write_config(folder, model_type, sizes)
    return build_model(
        ModelConfig(config_file=config, **section),
        vocab_size=320,
        seq_len=64,
        special_ids={"bos": 0, "eos": 1, "pad": 2},
        seed=0,
    )


@pytest.mark.parametrize("family", GREEN)
@pytest.mark.parametrize("chunk_tokens", [0, 20])
def test_the_loss_is_that_of_the_models_own_forward(
    tmp_path: Path, family: str, chunk_tokens: int
) -> None:
    model = build(tmp_path, *GREEN[family])
    spread(model)
    ids = torch.randint(3, 320, (1, 48), generator=torch.Generator().manual_seed(1))
    places = torch.arange(48)[None]
    segments = (places >= 20).int()
    loss = NextTokenLoss(model, chunk_tokens=chunk_tokens).eval()
    with torch.no_grad():
        ours = loss(ids, ids.roll(-1, 1), places, segment_ids=segments)[0]
        model.set_attn_implementation("eager")
        logits = [
            model(input_ids=ids[:, span], position_ids=places[:, span], use_cache=False).logits
            for span in (slice(20), slice(20, 48))
        ]
    own = F.cross_entropy(torch.cat(logits, 1)[0], ids.roll(-1, 1)[0], reduction="sum")
    torch.testing.assert_close(ours, own, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("family", REFUSED)
def test_a_family_that_cannot_be_packed_is_refused_by_name(tmp_path: Path, family: str) -> None:
    model_type, sizes, reason = REFUSED[family]
    with pytest.raises(RecipeError, match=model_type) as caught:
        build(tmp_path, model_type, sizes)
    assert reason in str(caught.value)


def test_a_saved_model_is_checked_when_it_is_measured(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    model_type, sizes, _ = REFUSED["bloom"]
    AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **sizes)).save_pretrained(
        tmp_path
    )
    with pytest.raises(RecipeError, match="bloom"):
        load_model(tmp_path)


def test_a_scale_that_nobody_knows_is_found(tmp_path: Path, monkeypatch) -> None:
    model = build(tmp_path, *GREEN["llama"])
    loss = NextTokenLoss(model, chunk_tokens=10)
    monkeypatch.setattr(loss, "_chunk", lambda h, t: loss._sums(3 * model.lm_head(h), t))
    with pytest.raises(RecipeError, match="loss_chunk_tokens: 0"):
        check.check_loss(loss)


def test_an_argument_that_changes_numbers_is_refused() -> None:
    x = torch.zeros(1, 1, 2, 8)
    mask = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    attend(torch.nn.Identity(), x, x, x, segment_mask=mask, position_ids=mask, s_aux=None)
    for name in ("s_aux", "softcap", "position_bias", "head_mask"):
        with pytest.raises(ValueError, match=name):
            attend(torch.nn.Identity(), x, x, x, segment_mask=mask, **{name: 3.0})
    with pytest.raises(ValueError, match="is_causal"):
        attend(torch.nn.Identity(), x, x, x, segment_mask=mask, is_causal=False)


def test_dropout_is_what_the_recipe_says_and_not_what_a_config_forgot(tmp_path: Path) -> None:
    logged: list[str] = []
    config = write_config(tmp_path, *GREEN["gpt2"])
    arguments = {
        "vocab_size": 320,
        "seq_len": 64,
        "special_ids": {"bos": 0, "eos": 1, "pad": 2},
        "seed": 0,
    }
    model = build_model(ModelConfig(config_file=config), **arguments, on_change=logged.append)
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.0}
    assert logged == [
        "resid_pdrop 0.1, embd_pdrop 0.1, attn_pdrop 0.1: not used, trained with model.dropout 0.0"
    ]
    model = build_model(ModelConfig(config_file=config, dropout=0.2), **arguments)
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.2}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_queries_that_rotary_left_in_fp32_meet_values_in_half(dtype: torch.dtype) -> None:
    x = torch.randn(1, 2, 4, 8)
    borders = Borders(cu_seqlens=torch.tensor([0, 3, 4], dtype=torch.int32), max_seqlen=4)
    with emulated():
        out, _ = attend(torch.nn.Identity(), x, x, x.to(dtype), **borders.as_kwargs())
    assert out.dtype == dtype


@pytest.mark.parametrize("heads", [(4, 4), (4, 2)])
def test_the_kernel_check_sees_a_kernel_that_looks_across(monkeypatch, heads) -> None:
    from transformers import LlamaConfig

    config = LlamaConfig(hidden_size=64, num_attention_heads=heads[0], num_key_value_heads=heads[1])
    with emulated():
        check.check_kernel(config, torch.device("cpu"), torch.bfloat16, 100)
        from tonsai_pipeline_tests.model import emulated_kernel

        real = emulated_kernel._attend

        def ignores_borders(q, k, v, borders, *rest):
            return real(q, k, v, borders[[0, -1]], *rest)

        monkeypatch.setattr(emulated_kernel, "_attend", ignores_borders)
        with pytest.raises(RecipeError, match="does not give the out"):
            check.check_kernel(config, torch.device("cpu"), torch.bfloat16, 100)


def spread(model: torch.nn.Module) -> None:
    """Give weights some size: logits of fresh networks are near 0, whatever scales them."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
