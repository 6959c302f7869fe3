"""How well a model predicts held-out text, in units that do not depend on its tokenizer.

    validation rows of one language ──loss──▶ nats ──/ (ln 2 x UTF-8 bytes)──▶ bits per byte

Perplexity per token falls when a tokenizer cuts text finer; bits per byte do not. Khmer letters are three
bytes, so Khmer bits per byte look about a third of English ones at equal skill: compare each language with
itself, over time or between models, never one with the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from transformers import PreTrainedModel

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.attention import uses_varlen_kernel
from tonsai_pipeline.model.batches import RowSource, make_batch
from tonsai_pipeline.model.loss import IGNORE, Batch, NextTokenLoss
from tonsai_pipeline.storage.shards import RowReader

#: A validation split is a folder `val_<language>` beside `train`.
_PREFIX = "val_"


@dataclass(frozen=True)
class HeldOut:
    """What was measured on one language.

    Args:
        loss: Mean negative log-likelihood of a predicted token, in nats.
        perplexity: exp(loss), per token of this tokenizer.
        bits_per_byte: Bits needed per UTF-8 byte of the predicted text.
        num_tokens: Predicted tokens.
        num_bytes: UTF-8 bytes of their text.
        num_rows: Rows measured.
    """

    loss: float
    perplexity: float
    bits_per_byte: float
    num_tokens: int
    num_bytes: int
    num_rows: int

    def as_dict(self) -> dict[str, float | int]:
        """Return the numbers by name."""
        return asdict(self)


def open_validation(shards_dir: Path) -> dict[str, RowReader]:
    """Open the validation split of each language.

    Returns:
        Readers by language code, sorted; languages without a row are left out.

    Raises:
        DataError: The folder has no validation rows at all.
    """
    folders = sorted(path for path in shards_dir.glob(f"{_PREFIX}*") if path.is_dir())
    readers = {path.name.removeprefix(_PREFIX): RowReader(path) for path in folders}
    readers = {language: reader for language, reader in readers.items() if reader.num_rows > 0}
    if not readers:
        raise DataError(f"{shards_dir}: no validation rows; hold out some documents in the mixture")
    return readers


@torch.no_grad()
def measure(
    loss_of: Callable[[Batch], torch.Tensor],
    reader: RowSource,
    *,
    batch_rows: int,
    max_rows: int | None,
    positions: str,
    use_varlen: bool,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> HeldOut:
    """Measure held-out rows, divided among processes.

    Args:
        loss_of: A batch -> its summed negative log-likelihood, in nats. Called equally often everywhere, as
            divided parameters need.
        reader: Rows of one language.
        batch_rows: Rows at a time.
        max_rows: Rows measured at most, from the first; empty: all.
        positions: See `make_batch`.
        use_varlen: See `make_batch`.
        device: Where the network is.
        rank: This process, 0..world_size-1.
        world_size: Processes that share the work.

    Returns:
        The same numbers in every process; sums are kept in fp64 and do not depend on `batch_rows` beyond
        the rounding of one row's loss.
    """
    num_rows = min(reader.num_rows, max_rows or reader.num_rows)
    own = list(range(rank, num_rows, world_size))
    per_process = -(-num_rows // world_size)
    # Whole batches of one shape: another one would be compiled anew.
    own += [-1] * (-(-per_process // batch_rows) * batch_rows - len(own))
    nll, num_tokens, num_bytes = 0.0, 0, 0
    for start in range(0, len(own), batch_rows):
        rows = own[start : start + batch_rows]
        batch = make_batch(reader, rows, positions=positions, use_varlen=use_varlen, device=device)
        nll += loss_of(batch).double().item()
        num_tokens += int((batch.targets != IGNORE).sum().item())
        num_bytes += sum(int(reader.row(number).num_bytes.sum()) for number in rows if number >= 0)
    sums = torch.tensor([nll, num_tokens, num_bytes], dtype=torch.float64, device=device)
    if world_size > 1:
        dist.all_reduce(sums)
    return held_out(sums[0].item(), int(sums[1].item()), int(sums[2].item()), num_rows)


def measure_network(
    network: PreTrainedModel,
    rows: Mapping[str, RowSource],
    *,
    batch_rows: int,
    max_rows: int | None,
    positions: str,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> dict[str, HeldOut]:
    """Measure a causal network on every language, in bf16 where a GPU computes it, in fp32 elsewhere.

    Args:
        network: With our attention; moved to the device.
        rows: Rows by language.
        batch_rows: See `measure`, as the others.
        max_rows: Rows of each language at most; empty: all.
        positions: See `make_batch`.
        device: Where it is measured.
        rank: This process.
        world_size: Processes that share the work.
    """
    dtype = torch.bfloat16 if computes_bf16(device) else torch.float32
    loss = NextTokenLoss(network).to(device, dtype).eval()

    def loss_of(batch: Batch) -> torch.Tensor:
        nll, _ = loss(
            batch.input_ids, batch.targets, batch.position_ids, batch.segment_ids, batch.cu_seqlens
        )
        return nll

    return {
        language: measure(
            loss_of,
            reader,
            batch_rows=batch_rows,
            max_rows=max_rows,
            positions=positions,
            use_varlen=uses_varlen_kernel(device, dtype),
            device=device,
            rank=rank,
            world_size=world_size,
        )
        for language, reader in rows.items()
    }


def computes_bf16(device: torch.device) -> bool:
    """Whether a device computes bf16 itself: a T4 emulates it, many times slower than fp32."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def held_out(nll: float, num_tokens: int, num_bytes: int, num_rows: int) -> HeldOut:
    """Turn sums into the numbers that are reported.

    Args:
        nll: Summed negative log-likelihood, in nats.
        num_tokens: Predicted tokens, at least 1.
        num_bytes: UTF-8 bytes of their text, at least 1.
        num_rows: Rows measured.

    Raises:
        ValueError: Nothing was predicted.

    Example:
        >>> held_out(math.log(256) * 10, num_tokens=10, num_bytes=10, num_rows=1).bits_per_byte
        8.0
    """
    if num_tokens < 1 or num_bytes < 1:
        raise ValueError(
            f"{num_tokens} predicted tokens with {num_bytes} bytes: nothing to measure"
        )
    loss = nll / num_tokens
    # exp overflows a float beyond 709 nats, which only a broken model reaches.
    return HeldOut(
        loss=loss,
        perplexity=math.exp(loss) if loss < 700 else math.inf,
        bits_per_byte=nll / (math.log(2) * num_bytes),
        num_tokens=num_tokens,
        num_bytes=num_bytes,
        num_rows=num_rows,
    )
