"""A few packed rows, a tokenizer and a network so small that a training run takes seconds.

Documents count upwards, so a network can learn them: the loss must fall, on held-out rows too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tonsai_pipeline.model.build import build_model
from tonsai_pipeline.model.loss import IGNORE
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.storage.shards import SEGMENT, RowBlock, RowsHeader, RowWriter
from tonsai_pipeline.train.spec import TrainRun

BOS, EOS, PAD = 0, 1, 2
#: Bytes and three markers have a meaning; the rest pads the embedding.
NUM_REAL, VOCAB_SIZE, SEQ_LEN = 259, 320, 64
MODEL = ModelConfig(num_layers=2, hidden_size=64, num_heads=4)


def network(seed: int = 0) -> PreTrainedModel:
    """Return the network, untrained."""
    special = {"bos": BOS, "eos": EOS, "pad": PAD}
    return build_model(
        MODEL, vocab_size=VOCAB_SIZE, seq_len=SEQ_LEN, special_ids=special, seed=seed
    )


def rows(num_rows: int, segments: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what a loss takes: rows cut into the same documents, some of which predict nothing."""
    generator = torch.Generator().manual_seed(3)
    targets = torch.randint(0, VOCAB_SIZE, (num_rows, SEQ_LEN), generator=generator)
    targets[0, 10:20] = IGNORE
    return {
        "input_ids": torch.randint(0, VOCAB_SIZE, (num_rows, SEQ_LEN), generator=generator),
        "targets": targets,
        "position_ids": torch.arange(SEQ_LEN).expand(num_rows, SEQ_LEN),
        "segment_ids": segments.expand(num_rows, SEQ_LEN),
    }


def write_rows(folder: Path, *, num_rows: int, seed: int, seq_len: int = SEQ_LEN) -> None:
    """Write rows of short documents; the last tokens of most rows are padding."""
    generator = np.random.default_rng(seed)
    header = RowsHeader(seq_len, VOCAB_SIZE, PAD, BOS, EOS, "tiny", ("a", "b"), ("khm", "eng"))
    with RowWriter(folder, header) as writer:
        for _ in range(num_rows):
            ids, segments = _row(generator, seq_len)
            table = np.array(segments, dtype=SEGMENT)
            writer.append(RowBlock(np.array([ids]), np.array([len(segments)]), table))


def write_shards(folder: Path, *, num_rows: int = 48) -> Path:
    """Write a training split and one validation split a language."""
    write_rows(folder / "train", num_rows=num_rows, seed=0)
    write_rows(folder / "val_khm", num_rows=5, seed=1)
    write_rows(folder / "val_eng", num_rows=4, seed=2)
    return folder


def write_tokenizer(folder: Path) -> Path:
    """Write a tokenizer of bytes and three markers."""
    markers = ["<|bos|>", "<|eos|>", "<|pad|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*markers, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    bos, eos, pad = markers
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=pad
    ).save_pretrained(str(folder))
    return folder


def make_run(folder: Path, output: str, **train: Any) -> TrainRun:
    """Describe a run of six steps on the shards in `folder`; `train` changes its settings."""
    settings: dict[str, Any] = {
        "global_batch_tokens": 8 * SEQ_LEN,
        "micro_batch_rows": 2,
        "optimizer": {"lr": 3e-3},
        "metrics": {"log_every_steps": 1, "tensorboard": False},
        "validation": {"every_steps": 3},
        "checkpoint": {"every_steps": 2},
        "guards": {"min_free_gb": 0.0},
    }
    return TrainRun(
        model=MODEL,
        train=TrainConfig.model_validate({**settings, **train}),
        shards_dir=folder / "shards",
        tokenizer_dir=folder / "tokenizer",
        output_dir=folder / output,
        fingerprint="tiny",
    )


def _row(
    generator: np.random.Generator, seq_len: int
) -> tuple[list[int], list[tuple[int, int, int]]]:
    ids: list[int] = []
    segments = []
    while seq_len - len(ids) >= 8:
        length = int(generator.integers(6, min(seq_len - len(ids), 24) + 1))
        body = (int(generator.integers(0, 256)) + np.arange(length - 2)) % 256 + 3
        ids += [BOS, *body.tolist(), EOS]
        segments.append((length, int(generator.integers(0, 2)), length - 2))
    return ids + [PAD] * (seq_len - len(ids)), segments
