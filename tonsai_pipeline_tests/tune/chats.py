"""A tiny base model with a tokenizer of bytes and chat markers, and recipes that tune it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline.pipeline import dumps_on_disk, open_builder
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.tokenizer.assemble import (
    BOS,
    EOS,
    PAD,
    describe,
    special_tokens,
    tokenizer_files,
)

CONTEXT = 512


def write_base(folder: Path, markers: bool = True, **sizes: Any) -> Path:
    """Write an untrained model; without `markers` its tokenizer knows no chat."""
    specials = special_tokens(0) if markers else [BOS, EOS, PAD]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: number for number, token in enumerate([*specials, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.add_special_tokens(
        [AddedToken(one, special=True, normalized=False) for one in specials]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    cut = folder / "tokenizer"
    cut.mkdir(parents=True)
    template = {} if markers else {"chat_template": None}
    for name, data in tokenizer_files(tokenizer, NormalizeOptions(), **template).items():
        (cut / name).write_bytes(data)
    info = describe(tokenizer, bos=BOS, eos=EOS, pad=PAD)
    model = build_model(
        ModelConfig(**{"num_layers": 2, "hidden_size": 32, "num_heads": 2, **sizes}),
        vocab_size=info.padded_vocab_size if markers else info.vocab_size,
        seq_len=CONTEXT,
        special_ids={"bos": info.bos_id, "eos": info.eos_id, "pad": info.pad_id},
        seed=0,
    )
    save_model(model, folder / "model", tokenizer_dir=cut)
    return folder / "model"


def write_jsonl(path: Path, rows: Sequence[Any]) -> Path:
    """Write rows; a string is written as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def ask(question: str, reply: str) -> dict[str, Any]:
    """Return a row of one exchange."""
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": reply},
        ]
    }


def recipe_of(base: Path, sources: dict[str, Path], **sft: Any) -> Recipe:
    """Return a recipe without a corpus that tunes a model."""
    weights = sft.pop("weights", {})
    evaluate = sft.pop("evaluate", {})
    train = {
        "global_batch_tokens": 4 * CONTEXT,
        "micro_batch_rows": 4,
        "metrics": {"log_every_steps": 1, "tensorboard": False},
        "guards": {"min_free_gb": 0.0},
        **sft.pop("train", {}),
    }
    entries = [
        {"name": name, "path": str(path), "license": "CC0-1.0", "weight": weights.get(name)}
        for name, path in sources.items()
    ]
    return Recipe.model_validate(
        {
            "name": "test",
            "dedup": {"decontaminate": {"prompt_suite": False}},
            "evaluate": evaluate,
            "sft": {
                "base": str(base),
                "max_length": CONTEXT,
                "sources": entries,
                "train": train,
                **sft,
            },
        }
    )


def builder_of(recipe: Recipe, store: Store, engine: Engine) -> Builder:
    """Return a builder without dumps."""
    view = dumps_on_disk(recipe, store, Path.cwd())
    return open_builder(recipe, store, view, engine=lambda: engine)


def dataset_of(recipe: Recipe, store: Store, engine: Engine) -> Artifact:
    """Make the rows that a recipe tunes on."""
    builder = builder_of(recipe, store, engine)
    builder.build("instruction_data")
    return builder.build("sft_dataset")
