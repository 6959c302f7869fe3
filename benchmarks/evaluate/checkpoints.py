"""Packed rows -> a small network and its weights at a few steps, twice as far apart each time; one process, plain AdamW."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from tonsai_pipeline.model.batches import make_batch
from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline.model.loss import IGNORE, NextTokenLoss
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.shards import RowReader

MODEL = ModelConfig(num_layers=4, hidden_size=192, num_heads=6)
_BATCH_ROWS = 16
_LR = 2e-3


def train(
    shards: Path,
    tokenizer: Path,
    work: Path,
    *,
    seed: int,
    num_steps: int,
    num_saved: int = 6,
    rows: list[int] | None = None,
    split: str = "train",
) -> list[Path]:
    """Train from new weights and save at `num_steps`, a half of it, a quarter, ...; folders in order of steps."""
    reader = RowReader(shards / split)
    special = {"bos": reader.bos_id, "eos": reader.eos_id, "pad": reader.pad_id}
    model = build_model(
        MODEL, vocab_size=reader.vocab_size, seq_len=reader.seq_len, special_ids=special, seed=seed
    )
    loss = NextTokenLoss(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LR, betas=(0.9, 0.95), weight_decay=0.1)
    saved_at = {num_steps >> i for i in range(num_saved)} - {0}
    generator = np.random.default_rng(seed)
    pool = np.array(rows if rows is not None else range(reader.num_rows))
    order, folders, began = np.zeros(0, np.int64), [], time.monotonic()
    for step in range(1, num_steps + 1):
        warm, left = min(1.0, step / 20), (num_steps - step) / max(1, 0.3 * num_steps)
        optimizer.param_groups[0]["lr"] = _LR * warm * min(1.0, max(0.05, left))
        if len(order) < _BATCH_ROWS:
            order = generator.permutation(pool)
        batch = make_batch(reader, order[:_BATCH_ROWS].tolist(), positions="row", use_varlen=False)
        order = order[_BATCH_ROWS:]
        nll, _ = loss(batch.input_ids, batch.targets, batch.position_ids, batch.segment_ids)
        mean = nll / (batch.targets != IGNORE).sum()
        optimizer.zero_grad()
        mean.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            speed = step * _BATCH_ROWS * reader.seq_len / (time.monotonic() - began)
            print(
                f"seed {seed} step {step} loss {mean.item():.3f} {speed:,.0f} tokens/s", flush=True
            )
        if step in saved_at:
            folders.append(work / f"seed{seed}-step{step:05d}")
            save_model(model, folders[-1], tokenizer_dir=tokenizer)
    return folders
