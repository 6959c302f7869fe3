"""Recipe section `model` -> a Hugging Face causal model with our attention, and its saved form.

    ModelConfig + vocab_size + seq_len ──build_model──▶ PreTrainedModel ──save_model──▶ folder

The folder is one that any program of the Hugging Face family opens.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model import attention
from tonsai_pipeline.model.auto_tokenizer import make_auto_tokenizer_agree
from tonsai_pipeline.model.embeddings import grow_embeddings, new_token_pieces
from tonsai_pipeline.model.generation_settings import settings_of_base, written_as_they_are
from tonsai_pipeline.recipe.model import ModelConfig

#: The same function to 1e-7, but one kernel instead of six; saved models carry the name other programs know.
_TRAINED_GELU, _SAVED_GELU = "gelu_pytorch_tanh", "gelu_new"


def build_model(
    section: ModelConfig,
    *,
    vocab_size: int,
    seq_len: int,
    special_ids: dict[str, int],
    seed: int,
    dtype: torch.dtype = torch.float32,
    tokenizer_dir: Path | None = None,
) -> PreTrainedModel:
    """Build the network, with new weights or those of `base`.

    Args:
        section: Which network.
        vocab_size: Rows of the embedding: the (padded) vocabulary of the packed shards.
        seq_len: Tokens of a row; the context of a model built from sizes.
        special_ids: `bos`, `eos` and `pad` token ids, written into the model's config.
        seed: Seed of new weights.
        dtype: Precision of the parameters.
        tokenizer_dir: The tokenizer that made the shards; with it, tokens that are new to `base` get good first
            embeddings. Without it, the base model's tokenizer is taken to be the same.

    Raises:
        RecipeError: The config file, the base model or its tokenizer cannot be opened, or its context or
            vocabulary is too small for the shards.
    """
    attention.register()
    # Not `fork_rng`: dropout and later draws must also start from the seed.
    torch.manual_seed(seed)
    names = {f"{name}_token_id": token_id for name, token_id in special_ids.items()}
    if section.base is not None:
        model = _load_base(section, vocab_size, tokenizer_dir, seed)
    else:
        if section.config_file is None:
            config = _config_from_sizes(section, vocab_size, seq_len, names)
        else:
            config = _config_from_file(section.config_file, vocab_size)
        _prepare(config)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=attention.NAME)
    config = model.config
    context = getattr(config, "max_position_embeddings", None)
    if context is not None and context < seq_len:
        raise RecipeError(
            f"model: context of {context} tokens is shorter than the packed rows of {seq_len}; "
            "pack with a smaller seq_len or take a model with a longer context"
        )
    for name, token_id in names.items():
        setattr(config, name, token_id)
    model.generation_config = (
        GenerationConfig.from_model_config(config)
        if section.base is None
        else settings_of_base(
            model.generation_config,
            special_ids,
            name=section.base,
            revision=section.base_revision,
            tokenizer_dir=tokenizer_dir,
        )
    )
    return cast("PreTrainedModel", cast("nn.Module", model).to(dtype))


def open_base(section: ModelConfig) -> PreTrainedModel:
    """Open the base model of a recipe as it is, with our attention, in fp32.

    Raises:
        RecipeError: It cannot be opened, or no packed attention can compute it.
    """
    attention.register()
    base = str(section.base)
    try:
        config = AutoConfig.from_pretrained(base, revision=section.base_revision)
        _prepare(config)
        return AutoModelForCausalLM.from_pretrained(
            base,
            config=config,
            revision=section.base_revision,
            attn_implementation=attention.NAME,
            dtype=torch.float32,
        )
    except (OSError, ValueError) as error:
        raise RecipeError(f"model.base: {section.base}: cannot be opened: {error}") from error


def load_model(folder: Path | str, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Open a saved model with our attention, to be measured.

    Raises:
        RecipeError: The folder holds no causal model.
    """
    attention.register()
    try:
        return AutoModelForCausalLM.from_pretrained(
            str(folder), attn_implementation=attention.NAME, dtype=dtype
        )
    except (OSError, ValueError) as error:
        raise RecipeError(f"{folder}: cannot be opened as a causal model: {error}") from error


def save_model(
    model: PreTrainedModel,
    folder: Path,
    *,
    tokenizer_dir: Path,
    state: dict[str, Tensor] | None = None,
) -> None:
    """Write a folder that `AutoModelForCausalLM` and `AutoTokenizer` open, all or nothing.

    Args:
        model: The network; its config and, without `state`, its weights.
        folder: Replaced if it exists.
        tokenizer_dir: Tokenizer files, copied into the folder as they are.
        state: Full weights on the CPU, where those in `model` are divided among processes.

    Raises:
        DataError: No way was found to make `AutoTokenizer` cut text as the shards were cut.
    """
    building = folder.with_name(f".tmp-{folder.name}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    for path in sorted(tokenizer_dir.iterdir()):
        if path.is_file() and not path.name.startswith(".") and path.name != "manifest.json":
            shutil.copyfile(path, building / path.name)
    config = model.config
    renamed = getattr(config, "activation_function", None) == _TRAINED_GELU
    if renamed:
        config.activation_function = _SAVED_GELU
    try:
        with written_as_they_are(model, building):
            model.save_pretrained(building, state_dict=state)
    finally:
        if renamed:
            config.activation_function = _TRAINED_GELU
    make_auto_tokenizer_agree(building)
    if folder.exists():
        retired = folder.with_name(f".tmp-old-{folder.name}")
        shutil.rmtree(retired, ignore_errors=True)
        folder.rename(retired)
        shutil.rmtree(retired)
    building.rename(folder)


def num_parameters(model: PreTrainedModel) -> int:
    """Count parameters, those shared by two layers once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _config_from_sizes(
    section: ModelConfig, vocab_size: int, seq_len: int, special_ids: dict[str, int]
) -> PretrainedConfig:
    width = section.hidden_size
    shared: dict[str, Any] = {
        "vocab_size": vocab_size,
        "tie_word_embeddings": section.tie_embeddings,
        **special_ids,
    }
    if section.architecture == "gpt2":
        shared |= {"n_positions": seq_len, "n_embd": width}
        shared |= {"n_layer": section.num_layers, "n_head": section.num_heads}
        shared |= {"n_inner": section.intermediate_size or 4 * width}
        shared |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), section.dropout)
        return GPT2Config(**shared)
    shared |= {
        "hidden_size": width,
        "num_hidden_layers": section.num_layers,
        "num_attention_heads": section.num_heads,
        "num_key_value_heads": section.num_kv_heads or section.num_heads,
        "head_dim": width // section.num_heads,
        "intermediate_size": section.intermediate_size or -(-8 * width // (3 * 64)) * 64,
        "max_position_embeddings": seq_len,
        "attention_dropout": section.dropout,
    }
    return LlamaConfig(**shared) if section.architecture == "llama" else Qwen3Config(**shared)


def _config_from_file(path: Path, vocab_size: int) -> PretrainedConfig:
    try:
        config = AutoConfig.from_pretrained(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(f"model.config_file: {path}: not a model config: {error}") from error
    # The shards decide: a config written for another tokenizer would index past its embedding.
    config.vocab_size = vocab_size
    return config


def _load_base(
    section: ModelConfig, vocab_size: int, tokenizer_dir: Path | None, seed: int
) -> PreTrainedModel:
    model = open_base(section)
    pieces = {}
    if tokenizer_dir is not None:
        pieces = new_token_pieces(str(section.base), section.base_revision, tokenizer_dir)
    grow_embeddings(model, pieces, vocab_size, method=section.new_embeddings, seed=seed)
    return model


def _prepare(config: PretrainedConfig) -> None:
    if getattr(config, "activation_function", None) == _SAVED_GELU:
        config.activation_function = _TRAINED_GELU
    if getattr(config, "attn_logit_softcapping", None) is not None:
        raise RecipeError(
            f"model: {config.model_type} caps its attention scores, which no packed attention supports; "
            "take another base model"
        )
