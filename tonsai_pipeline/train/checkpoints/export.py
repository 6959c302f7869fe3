"""A training checkpoint -> a model folder of its weights.

checkpoints/step-00000500/ + run.json ──▶ config.json, model.safetensors, tokenizer files
"""

from __future__ import annotations

from pathlib import Path

import torch

from tonsai_pipeline.errors import StorageError
from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline.storage.job_folder import RUN_NAME
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train.backends.backend import STATE_DIR
from tonsai_pipeline.train.checkpoints.checkpoint import read_checkpoint
from tonsai_pipeline.train.checkpoints.fragments import WEIGHT, FragmentReader
from tonsai_pipeline.train.spec import TrainRun


def export_checkpoint(checkpoint: Path, folder: Path) -> None:
    """Write the weights of a checkpoint as a model that other programs open.

    Args:
        checkpoint: `step-*`, below the `checkpoints/` of its run.
        folder: Replaced if it exists.

    Raises:
        StorageError: The checkpoint is damaged, or its run is not beside it.
    """
    read_checkpoint(checkpoint)
    run_file = checkpoint.parent.parent / RUN_NAME
    if not run_file.is_file():
        raise StorageError(
            f"{run_file}: no such file; a checkpoint is read with the run that it belongs to"
        )
    run = TrainRun.read(run_file)
    rows = RowReader(run.shards_dir / "train")
    model = build_model(
        run.model,
        vocab_size=rows.vocab_size,
        seq_len=rows.seq_len,
        special_ids=rows.special_ids,
        seed=run.train.seed,
        tokenizer_dir=run.tokenizer_dir,
    )
    saved = FragmentReader(checkpoint / STATE_DIR)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(saved.read(WEIGHT, name, 0, parameter.numel()).view(parameter.shape))
    model.load_state_dict(saved.buffers(), strict=False)
    save_model(model, folder, tokenizer_dir=run.tokenizer_dir)
