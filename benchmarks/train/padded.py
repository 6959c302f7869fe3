"""The starter kit's way: one document a row, tokenized as it is read, cut and padded to the context.

A plain loop around transformers' model with its own loss and padding mask, fp32, torch's AdamW: what `Trainer`
does in a step, without its bookkeeping.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from tonsai_pipeline.recipe.model import ModelConfig


@dataclass
class Steps:
    """What was measured of each step.

    Args:
        step_s: Seconds of a step, reading included.
        load_s: Seconds of reading that the network waited for.
        targets: Predicted tokens.
        positions: Tokens that went through the network, padding included.
    """

    step_s: list[float] = field(default_factory=list)
    load_s: list[float] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)

    def extend(self, other: Steps) -> None:
        """Take over another turn's steps."""
        for name in ("step_s", "load_s", "targets", "positions"):
            getattr(self, name).extend(getattr(other, name))

    def numbers(self) -> dict[str, float]:
        """Return speeds and shares over all steps."""
        total = sum(self.step_s)
        return {
            "useful tokens/s": sum(self.targets) / total,
            "positions/s": sum(self.positions) / total,
            "useful share of positions": sum(self.targets) / sum(self.positions),
            "s a step (median)": float(np.median(self.step_s)),
            "loader share of step time": sum(self.load_s) / total,
            "steps": len(self.step_s),
        }


def train(
    documents: list[str],
    tokenizer_dir: Path,
    model: ModelConfig,
    *,
    seq_len: int,
    rows: int,
    num_steps: int,
    warmup_steps: int,
    vocab_size: int,
) -> Steps:
    """Take some steps and measure all but the first few."""
    tokenizer = AutoTokenizer.from_pretrained(str(tokenizer_dir))
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=seq_len,
        n_embd=model.hidden_size,
        n_layer=model.num_layers,
        n_head=model.num_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
    )
    network = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4)
    stream, steps = itertools.cycle(documents), Steps()
    for step in range(warmup_steps + num_steps):
        began = time.perf_counter()
        batch = collate(tokenizer, list(itertools.islice(stream, rows)), seq_len)
        loaded = time.perf_counter()
        loss = network(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        ended = time.perf_counter()
        if step >= warmup_steps:
            steps.step_s.append(ended - began)
            steps.load_s.append(loaded - began)
            steps.targets.append(int((batch["labels"][:, 1:] != -100).sum()))
            steps.positions.append(rows * seq_len)
    return steps


def collate(tokenizer, batch: list[str], seq_len: int) -> dict[str, torch.Tensor]:
    """Texts -> rows; padding is hidden from attention and from the loss."""
    # One position is kept for the end of text, as a training document has one.
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    cut = [
        [bos, *ids, eos][:seq_len]
        for ids in tokenizer(batch, add_special_tokens=False, truncation=True, max_length=seq_len)[
            "input_ids"
        ]
    ]
    ids = torch.full((len(batch), seq_len), eos)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(cut):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "labels": ids.masked_fill(mask == 0, -100),
    }


def coverage(documents: list[str], tokenizer_dir: Path, seq_len: int) -> dict[str, float]:
    """How full rows of one document are, and what cutting loses, over all documents."""
    tokenizer = AutoTokenizer.from_pretrained(str(tokenizer_dir))
    sizes = np.array(
        [len(ids) + 2 for ids in tokenizer(documents, add_special_tokens=False)["input_ids"]]
    )
    kept = np.minimum(sizes, seq_len)
    return {
        "documents": len(sizes),
        "median tokens of a document": float(np.median(sizes)),
        "useful share of positions": float((kept - 1).sum() / (len(sizes) * seq_len)),
        "tokens lost by cutting": float(1 - kept.sum() / sizes.sum()),
    }
