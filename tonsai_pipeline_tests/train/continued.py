"""A base model that has learnt `tiny` rows, and the same text cut by a tokenizer that joins pairs of its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.shards import SEGMENT, RowBlock, RowReader, RowWriter
from tonsai_pipeline.train.spec import TrainRun
from tonsai_pipeline_tests.train import runs, tiny

#: Token 2i+1 follows token 2i in the second half of the bytes: each such pair is one new token.
FIRST_PAIR, NUM_PAIRS = 131, 64
VOCAB_SIZE = 384


def write_base(folder: Path) -> Path:
    """Train a base model in `folder` and return its model folder."""
    run = tiny.make_run(
        folder,
        "base",
        backend="torch",
        num_epochs=25.0,
        optimizer={"lr": 5e-3},
        validation={"every_steps": 1000},
        checkpoint={"every_steps": 1000},
        metrics={"log_every_steps": 50, "tensorboard": False},
    )
    runs.train(run)
    return run.output_dir / "model"


def extend(folder: Path, tokenizer_dir: Path) -> Path:
    """Write a tokenizer with `NUM_PAIRS` more tokens."""
    import json

    state: dict[str, Any] = json.loads((tokenizer_dir / "tokenizer.json").read_text())
    names = {number: token for token, number in state["model"]["vocab"].items()}
    for pair in range(NUM_PAIRS):
        left, right = (names[FIRST_PAIR + 2 * pair + side] for side in (0, 1))
        state["model"]["merges"].append([left, right])
        state["model"]["vocab"][left + right] = tiny.NUM_REAL + pair
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        bos_token="<|bos|>",
        eos_token="<|eos|>",
        pad_token="<|pad|>",
    ).save_pretrained(str(folder))
    return folder


def extend_shards(source: Path, folder: Path) -> Path:
    """Cut the same documents with the new tokens."""
    for split in ("train", "val_khm", "val_eng"):
        reader = RowReader(source / split)
        header = reader.header.__class__(
            **{**reader.header.__dict__, "vocab_size": VOCAB_SIZE, "tokenizer_digest": "longer"}
        )
        with RowWriter(folder / split, header) as writer:
            for number in range(reader.num_rows):
                row = reader.row(number)
                parts = [
                    _join(row.input_ids[first:end].tolist())
                    for first, end in zip(row.cu_seqlens, row.cu_seqlens[1:], strict=False)
                ]
                ids = [i for part in parts for i in part]
                ids += [tiny.PAD] * (tiny.SEQ_LEN - len(ids))
                table = [
                    (len(part), int(source), int(size))
                    for part, source, size in zip(parts, row.sources, row.num_bytes, strict=True)
                ]
                writer.append(
                    RowBlock(np.array([ids]), np.array([len(parts)]), np.array(table, SEGMENT))
                )
    return folder


def continued_run(folder: Path, output: str, *, extended: bool, **train_section: Any) -> TrainRun:
    """Describe continual training on the base model in `folder`."""
    run = tiny.make_run(folder, output, backend="torch", **train_section)
    places = {"shards_dir": folder / "shards+", "tokenizer_dir": folder / "tokenizer+"}
    return run.model_copy(
        update={
            "model": ModelConfig(base=str(folder / "base" / "model")),
            **(places if extended else {}),
        }
    )


def _join(ids: list[int]) -> list[int]:
    joined, place = [], 0
    while place < len(ids):
        pair, side = divmod(ids[place] - FIRST_PAIR, 2)
        follows = place + 1 < len(ids) and ids[place + 1] == ids[place] + 1
        if 0 <= pair < NUM_PAIRS and side == 0 and follows:
            joined.append(tiny.NUM_REAL + pair)
            place += 2
        else:
            joined.append(ids[place])
            place += 1
    return joined
