"""The base model before training: its bits per byte on the held-out rows, read with its own tokenizer.

    held-out rows ──bytes of their tokens, cut by its own tokenizer──▶ the same text in its tokens ──▶ HeldOut by language

The same bytes are predicted as by the model in training, so the two are compared byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from tokenizers import Tokenizer

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.model.batches import RowSource
from tonsai_pipeline.model.build import open_base
from tonsai_pipeline.model.embeddings import compare_tokens, load_base_tokenizer
from tonsai_pipeline.model.held_out import HeldOut, measure_network, open_validation
from tonsai_pipeline.reporting import Reporter
from tonsai_pipeline.storage.rows import Row
from tonsai_pipeline.tokenizer.alphabet import BYTE_CHARS, from_byte_chars, is_byte_level
from tonsai_pipeline.train.spec import TrainRun


def measure_base(
    run: TrainRun, batch_rows: int, device: torch.device, reporter: Reporter
) -> dict[str, HeldOut] | None:
    """Measure the model that a run begins with; called in every process, before the engine takes its memory.

    Args:
        run: None is measured unless `model.base` is set and `train.regression` limits a language.
        batch_rows: Rows at a time.
        device: Where this process computes.
        reporter: Shows the numbers.

    Returns:
        The same numbers in every process, for the languages that are limited.

    Raises:
        RecipeError: The base model or its tokenizer cannot be opened, or a limited language has no held-out rows.
    """
    limits = run.train.regression.max_rise_frac
    if run.model.base is None or not limits:
        return None
    readers = open_validation(run.shards_dir)
    if missing := sorted(set(limits) - set(readers)):
        raise RecipeError(
            f"train.regression.max_rise_frac: no held-out rows of {', '.join(missing)}; there are {', '.join(readers)}"
        )
    reread = BaseReader(
        load_base_tokenizer(run.model.base, run.model.base_revision),
        Tokenizer.from_file(str(run.tokenizer_dir / "tokenizer.json")),
    )
    found = measure_network(
        open_base(run.model),
        {
            language: RereadRows(readers[language], reread, run.train.validation.max_rows)
            for language in readers
            if language in limits
        },
        batch_rows=batch_rows,
        max_rows=None,
        positions=run.model.positions,
        device=device,
        rank=dist.get_rank() if dist.is_initialized() else 0,
        world_size=dist.get_world_size() if dist.is_initialized() else 1,
    )
    message = ", ".join(f"{lang} {numbers.bits_per_byte:.4f}" for lang, numbers in found.items())
    reporter.log(f"the base model's bits per byte: {message}")
    return found


class RereadRows:
    """Held-out rows as a base model reads them; a `RowSource`.

    Args:
        rows: As packed.
        reread: Gives a segment of ids, (n,), the base model's, see `BaseReader`.
        max_rows: Rows that are read, from the first; empty: all.
    """

    def __init__(
        self,
        rows: RowSource,
        reread: Callable[[npt.NDArray[np.integer]], npt.NDArray[np.int64]],
        max_rows: int | None,
    ) -> None:
        self.seq_len = rows.seq_len
        self.pad_id = 0  # of positions that predict nothing, and that nothing sees
        self._rows: list[Row] = []
        self._open: list[tuple[npt.NDArray[np.int64], int]] = []
        for number in range(min(rows.num_rows, max_rows or rows.num_rows)):
            row = rows.row(number)
            for place, num_bytes in enumerate(row.num_bytes.tolist()):
                first, end = row.cu_seqlens[place : place + 2].tolist()
                self._add(reread(row.input_ids[first:end]), num_bytes)
        self._close_row()

    @property
    def num_rows(self) -> int:
        """Rows."""
        return len(self._rows)

    def row(self, number: int) -> Row:
        """Return one row."""
        return self._rows[number]

    def _add(self, ids: npt.NDArray[np.int64], num_bytes: int) -> None:
        """Put a segment into rows; one that became longer than a row goes on in the next, one token repeated.

        The repeated token is what the first token there is predicted from, so each token is predicted once.
        """
        start = 0
        while True:
            piece = ids[start : start + self.seq_len]
            if sum(len(one) for one, _ in self._open) + len(piece) > self.seq_len:
                self._close_row()
            self._open.append((piece, num_bytes if start == 0 else 0))
            if start + self.seq_len >= len(ids):
                return
            start += self.seq_len - 1

    def _close_row(self) -> None:
        if not self._open:
            return
        ids = np.full(self.seq_len, self.pad_id, dtype=np.int64)
        borders = np.cumsum([0, *(len(one) for one, _ in self._open)]).astype(np.int32)
        ids[: borders[-1]] = np.concatenate([one for one, _ in self._open])
        num_bytes = np.array([size for _, size in self._open], dtype=np.int32)
        sources = np.zeros(len(num_bytes), dtype=np.uint16)
        self._rows.append(Row(ids, borders, sources, num_bytes))
        self._open = []


class BaseReader:
    """Gives text in tokens of ours the ids that a base model's own tokenizer gives it.

    Text is cut anew where both are byte-level BPE; elsewhere each new token becomes its pieces.

    Args:
        base: The base model's tokenizer; it is changed to read markers in a text as text.
        ours: The one that made the rows.
    """

    def __init__(self, base: Tokenizer, ours: Tokenizer) -> None:
        base.encode_special_tokens = True
        self._base = base
        self._tokens = compare_tokens(base, ours)
        self._bytes: dict[int, bytes] = {}
        if self._tokens.pieces and is_byte_level(base) and is_byte_level(ours):
            added = ours.get_added_tokens_decoder()
            self._bytes = {
                number: from_byte_chars(token)
                for token, number in ours.get_vocab(with_added_tokens=False).items()
                if number not in added
            }

    def __call__(self, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """(n,) ids of a segment -> ids of the base.

        The first token of a segment is not predicted and its bytes are not counted; of its pieces only the last
        stays, for the others would be predicted.
        """
        first, *rest = (int(number) for number in ids)
        found = [self._pieces(first)[-1]]
        for is_text, run in groupby(rest, self._bytes.__contains__):
            if is_text:
                found += self._cut(b"".join(self._bytes[number] for number in run))
            else:
                found += [piece for number in run for piece in self._pieces(number)]
        return np.array(found, dtype=np.int64)

    def _pieces(self, number: int) -> Sequence[int]:
        return self._tokens.pieces.get(number, (number,))

    def _cut(self, data: bytes) -> list[int]:
        """Cut a stretch of UTF-8; of characters that a border parts, each byte is a token."""
        head = next((n for n, byte in enumerate(data) if byte & 0xC0 != 0x80), len(data))
        text = data[head:].decode(errors="ignore")
        stop = head + len(text.encode())
        inner = self._base.encode(text, add_special_tokens=False).ids
        return [*self._single(data[:head]), *inner, *self._single(data[stop:])]

    def _single(self, data: bytes) -> list[int]:
        return [
            number
            for byte in data
            if (number := self._base.token_to_id(BYTE_CHARS[byte])) is not None
        ]
