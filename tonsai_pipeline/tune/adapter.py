"""A network -> the same with low-rank adapters, of which only these learn; afterwards the adapter alone, and merged.

linear layers + rows of the chat's markers ──add_adapter──▶ PeftModel ──save_adapter──▶ adapter/
                                                                └──merge──▶ the network, its layers as they were
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from tonsai_pipeline.recipe.sft import LoraConfig
from tonsai_pipeline.storage.files import read_json, write_json

_SETTINGS = "adapter_config.json"


def add_adapter(
    model: PreTrainedModel, config: LoraConfig, marker_ids: tuple[int, ...]
) -> PeftModel:
    """Put adapters beside every linear layer, in place; nothing else learns but the markers' embeddings.

    Markers are random vectors after pretraining, and adapters would have to learn around them. Where the output layer
    has rows of its own, those learn too; where it has not, it stays tied.

    Args:
        model: Changed: it is the network inside what is returned.
        config: Rank and scale.
        marker_ids: Rows of the embeddings that learn.
    """
    names = {id(part): name.rsplit(".", 1)[-1] for name, part in model.named_modules()}
    layers = [cast("nn.Module", model.get_input_embeddings()), model.get_output_embeddings()]
    is_tied = layers[1] is None or layers[1].weight is layers[0].weight
    rows = {names[id(layer)]: list(marker_ids) for layer in (layers[:1] if is_tied else layers)}
    settings = PeftLoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # pyright: ignore[reportArgumentType]  # a fraction will do
        lora_dropout=config.dropout,
        target_modules="all-linear",
        trainable_token_indices=rows if marker_ids else None,
        ensure_weight_tying=is_tied and bool(marker_ids),
        # GPT-2's layers are transposed; peft finds that out too, with a warning.
        fan_in_fan_out=_is_transposed(model),
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # Says that nothing is tied, though the rows of markers are.
        warnings.filterwarnings("ignore", message="You have requested `ensure_weight_tying`")
        return cast("PeftModel", get_peft_model(model, settings))


def save_adapter(adapted: PeftModel, folder: Path, *, base: str) -> None:
    """Write the adapter, all or nothing, without a place of this machine.

    Args:
        adapted: From `add_adapter`, trained.
        folder: Replaced if it exists.
        base: What the adapter calls its base model.
    """
    building = folder.with_name(f".tmp-{folder.name}")
    shutil.rmtree(building, ignore_errors=True)
    adapted.save_pretrained(str(building), save_embedding_layers=False)
    # A card of peft's own, mostly empty; and in the settings, where the base model lay.
    (building / "README.md").unlink(missing_ok=True)
    settings = cast("dict[str, Any]", read_json(building / _SETTINGS))
    write_json(building / _SETTINGS, {**settings, "base_model_name_or_path": base or None})
    shutil.rmtree(folder, ignore_errors=True)
    building.rename(folder)


def merge(adapted: PeftModel) -> PreTrainedModel:
    """Return the network with the adapters added to its layers, which are added up in fp32."""
    dtype = next(adapted.parameters()).dtype
    cast("nn.Module", adapted).to("cpu", torch.float32)
    merged: Any = adapted.merge_and_unload()
    return merged.to(dtype)


def _is_transposed(model: PreTrainedModel) -> bool:
    return any(type(part).__name__ == "Conv1D" for part in model.modules())
