"""Recipe section `model` -> a Hugging Face causal model with our attention, and its saved form.

    ModelConfig + vocab_size + seq_len ──build_model──▶ PreTrainedModel ──save_model──▶ folder

The folder is one that any program of the Hugging Face family opens.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
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
from tonsai_pipeline.model.check import check_network
from tonsai_pipeline.model.embeddings import TokenMap, fit_embeddings, map_tokens
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
    on_change: Callable[[str], object] = lambda _: None,
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
        on_change: Gets a message about what a config asks for and does not get.

    Raises:
        RecipeError: The config file, the base model or its tokenizer cannot be opened, its context or
            vocabulary is too small for the shards, or it is of a family that cannot be packed.
    """
    attention.register()
    # Not `fork_rng`: dropout and later draws must also start from the seed.
    torch.manual_seed(seed)
    names = {f"{name}_token_id": token_id for name, token_id in special_ids.items()}
    if section.base is not None:
        model = _load_base(section, vocab_size, tokenizer_dir, seed, on_change)
    else:
        if section.config_file is None:
            config = _config_from_sizes(section, vocab_size, seq_len, names)
            # Nobody wrote the dropout of such a config: there is nothing to say about it.
            _prepare(config, section.dropout, lambda _: None)
        else:
            config = _config_from_file(section.config_file, vocab_size)
            _prepare(config, section.dropout, on_change)
        model = _with_our_attention(
            config.model_type,
            lambda: AutoModelForCausalLM.from_config(
                config, attn_implementation=attention.NAME, dtype=torch.float32
            ),
        )
        _check(model)
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


def open_base(
    section: ModelConfig, on_change: Callable[[str], object] = lambda _: None
) -> PreTrainedModel:
    """Open the base model of a recipe as it is, with our attention, in fp32.

    Raises:
        RecipeError: It cannot be opened, or no packed attention can compute it.
    """
    attention.register()
    base = str(section.base)
    try:
        config = AutoConfig.from_pretrained(base, revision=section.base_revision)
        _prepare(config, section.dropout, on_change)
        model = _with_our_attention(
            config.model_type,
            lambda: AutoModelForCausalLM.from_pretrained(
                base,
                config=config,
                revision=section.base_revision,
                attn_implementation=attention.NAME,
                dtype=torch.float32,
            ),
        )
    except (OSError, ValueError) as error:
        raise RecipeError(f"model.base: {section.base}: cannot be opened: {error}") from error
    _check(model)
    return model


def load_model(folder: Path | str, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Open a saved model with our attention, to be measured.

    Raises:
        RecipeError: The folder holds no causal model, or one of a family that cannot be packed.
    """
    attention.register()
    try:
        model = _with_our_attention(
            str(folder),
            lambda: AutoModelForCausalLM.from_pretrained(
                str(folder), attn_implementation=attention.NAME, dtype=torch.float32
            ),
        )
    except (OSError, ValueError) as error:
        raise RecipeError(f"{folder}: cannot be opened as a causal model: {error}") from error
    _check(model)
    return cast("PreTrainedModel", cast("nn.Module", model).to(dtype))


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
    # Weights are written through a private temporary file; all files get the mode of the others.
    mode = (building / "config.json").stat().st_mode & 0o777
    for path in building.iterdir():
        path.chmod(mode)
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
        return GPT2Config(**shared)
    shared |= {
        "hidden_size": width,
        "num_hidden_layers": section.num_layers,
        "num_attention_heads": section.num_heads,
        "num_key_value_heads": section.num_kv_heads or section.num_heads,
        "head_dim": width // section.num_heads,
        "intermediate_size": section.intermediate_size or -(-8 * width // (3 * 64)) * 64,
        "max_position_embeddings": seq_len,
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
    section: ModelConfig,
    vocab_size: int,
    tokenizer_dir: Path | None,
    seed: int,
    on_change: Callable[[str], object],
) -> PreTrainedModel:
    model = open_base(section, on_change)
    tokens = TokenMap({}, frozenset(), vocab_size, is_pruned=False)
    if tokenizer_dir is not None:
        tokens = map_tokens(str(section.base), section.base_revision, tokenizer_dir)
    fit_embeddings(model, tokens, vocab_size, method=section.new_embeddings, seed=seed)
    return model


def dropout_of(config: PretrainedConfig) -> float:
    """Return the largest dropout rate that a network trains with."""
    return max(_dropouts(config).values(), default=0.0)


def _dropouts(config: PretrainedConfig) -> dict[str, float]:
    """The rates of a config by key; those of heads that a language model does not have are left out."""
    return {
        key: value
        for key, value in config.to_dict().items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and ("drop" in key)
        and not key.startswith(("classifier", "summary"))
    }


def _prepare(config: PretrainedConfig, dropout: float, on_change: Callable[[str], object]) -> None:
    """Write into a config what the recipe decides, before a network is made of it."""
    if getattr(config, "activation_function", None) == _SAVED_GELU:
        config.activation_function = _TRAINED_GELU
    # Hugging Face's defaults are those of 2019: gpt2 without a word drops a tenth of everything.
    changed = {key: value for key, value in _dropouts(config).items() if value != dropout}
    for key in changed:
        setattr(config, key, 0.0 if key == "layerdrop" else dropout)
    if any(changed.values()):
        names = ", ".join(f"{key} {value}" for key, value in changed.items() if value)
        on_change(f"{names}: not used, trained with model.dropout {dropout}")


def _with_our_attention(name: str, make: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    try:
        return make()
    except (KeyError, AttributeError) as error:
        # Families that choose among attentions of their own do not find ours.
        raise RecipeError(
            f"model: {name}: this family takes no attention from outside ({type(error).__name__}: {error}), so its "
            "documents cannot be kept apart in packed rows; take another family"
        ) from error


def _check(model: PreTrainedModel) -> None:
    # Without weights (planned on the meta device) there is nothing to compare.
    if model.device.type != "meta":
        check_network(model)
