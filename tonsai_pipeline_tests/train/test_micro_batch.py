"""`micro_batch_rows: auto` takes the most rows that fit, in every process the same, and keeps them for a resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.model.loss import NextTokenLoss
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.train import micro_batch
from tonsai_pipeline.train.backends.torch_backend import TorchBackend
from tonsai_pipeline.train.loop.batch_plan import micro_batch_sizes
from tonsai_pipeline.train.loop.stop import StopAfter
from tonsai_pipeline.train.micro_batch import KEPT_NAME
from tonsai_pipeline_tests.train import runs
from tonsai_pipeline_tests.train.tiny import SEQ_LEN, make_run

#: What a process leaves to the framework, see `planner.presets.usable_bytes`.
RESERVED, USABLE = 2e9, 0.92


class EmulatedMemory:
    """A device that holds so many bytes for the backward pass, and then has no more."""

    def __init__(self, num_bytes: float) -> None:
        self.num_bytes = num_bytes

    def free_bytes(self) -> float:
        return (self.num_bytes + RESERVED) / USABLE

    def used_by(self, do: Callable[[], object]) -> float:
        held = 0

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal held
            held += tensor.nbytes
            if held > self.num_bytes:
                raise torch.OutOfMemoryError("CUDA out of memory (emulated)")
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            do()
        return float(held)


def needed(folder: Path, num_rows: int) -> float:
    """Bytes that so many rows take with all states, measured apart from the product's own search."""
    from tonsai_pipeline.model.batches import make_batch
    from tonsai_pipeline_tests.train.tiny import network

    loss = NextTokenLoss(network())
    reader = RowReader(folder / "shards" / "train")
    batch = make_batch(reader, range(num_rows), positions="row", use_varlen=False)
    states = 16 * sum(p.numel() for p in loss.parameters())
    args = (batch.input_ids, batch.targets, batch.position_ids, batch.segment_ids)
    return states + EmulatedMemory(1e12).used_by(lambda: backward(loss, args))


def backward(loss: NextTokenLoss, args: Any) -> None:
    loss(*args)[0].backward()


def train(folder: Path, output: str, stop=None, **settings: Any):
    run = make_run(folder, output, **{"backend": "torch", "micro_batch_rows": "auto", **settings})
    outcome, reporter = runs.train(run, stop)
    return runs.curve(run.output_dir), reporter, outcome


def limit(monkeypatch: pytest.MonkeyPatch, num_bytes: float) -> None:
    monkeypatch.setattr(micro_batch, "memory_of", lambda device: EmulatedMemory(num_bytes))


def test_as_many_rows_as_fit_are_taken_and_the_loss_does_not_depend_on_it(
    tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, (needed(tiny_data, 4) + needed(tiny_data, 8)) / 2)
    found, reporter, _ = train(tiny_data, "auto")
    status: Any = read_json(tiny_data / "auto" / "status.json")
    # Eight rows of a step can be cut into 8, 4, 3, 2 or 1 at a time.
    assert status["micro_batch_rows"] == 4
    assert any("auto: 4 of up to 8 rows" in message for message in reporter.messages)
    named, _, _ = train(tiny_data, "named", micro_batch_rows=4)
    assert found == named
    alone, _, _ = train(tiny_data, "named1", micro_batch_rows=1)
    for (_, loss, norm), (_, same, same_norm) in zip(found, alone, strict=True):
        assert (loss, norm) == (pytest.approx(same, rel=2e-5), pytest.approx(same_norm, rel=2e-4))


def test_a_resumed_run_keeps_its_rows_whatever_memory_is_free_then(
    tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, needed(tiny_data, 3))
    whole, _, _ = train(tiny_data, "undivided")
    train(tiny_data, "divided", StopAfter(3))
    limit(monkeypatch, 1e12)
    found, reporter, _ = train(tiny_data, "divided")
    assert "micro_batch_rows: auto: 3, as before" in reporter.messages
    assert found == whole
    # Another way to save memory is another question.
    _, reporter, _ = train(tiny_data, "divided", activation_checkpointing=True)
    assert any("auto: 8 of up to 8 rows" in message for message in reporter.messages)


def test_where_not_one_row_fits_the_error_says_how_much_is_missing(
    tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, needed(tiny_data, 1) * 0.9)
    with pytest.raises(TrainError, match=r"not one row fits.*activation_checkpointing"):
        train(tiny_data, "none")


def test_after_running_out_of_memory_the_next_start_takes_fewer_rows(
    tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(monkeypatch, 1e12)
    real = TorchBackend._backward

    def full(self, loss):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TorchBackend, "_backward", full)
    with pytest.raises(TrainError, match="auto takes 4 from now on") as caught:
        train(tiny_data, "fragments")
    assert caught.value.may_retry
    monkeypatch.setattr(TorchBackend, "_backward", real)
    _, reporter, outcome = train(tiny_data, "fragments")
    assert outcome.finished
    assert "micro_batch_rows: auto: 4, as before" in reporter.messages


def test_a_cpu_takes_at_most_32_rows_and_no_more_than_its_memory_is_estimated_to_hold(
    tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny_data, "cpu", global_batch_tokens=48 * SEQ_LEN, num_epochs=1.0)
    assert json.loads((tiny_data / "cpu" / KEPT_NAME).read_text())["rows"] == 24
    monkeypatch.setattr(micro_batch, "_free_bytes", lambda memory: 2 * 12e6)
    _, reporter, _ = train(tiny_data, "small", global_batch_tokens=48 * SEQ_LEN, num_epochs=1.0)
    rows = json.loads((tiny_data / "small" / KEPT_NAME).read_text())["rows"]
    assert 1 < rows < 24
    assert any("by an estimate" in message for message in reporter.messages)


def test_sizes_divide_the_rows_of_a_process_evenly() -> None:
    assert micro_batch_sizes(1, 512) == [1]
    assert micro_batch_sizes(7, 512) == [1, 2, 3, 4, 7]
    assert max(micro_batch_sizes(256, 32)) == 32
