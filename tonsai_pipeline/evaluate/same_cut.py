"""Packed rows and a tokenizer -> whether the tokenizer is the one that made them.

    held-out rows ──ids──▶ text ──the model's tokenizer──▶ ids again, the same or not

A network with another tokenizer than its own, or with one whose merges were damaged, still writes text, and its bits
per byte may look like those of a bad network. Here it is told apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tonsai_pipeline.evaluate.subject import Subject
from tonsai_pipeline.metrics.bootstrap import Estimate, share_interval
from tonsai_pipeline.model.likelihood import encode
from tonsai_pipeline.storage.shards import RowReader

#: Documents that are cut again, and tokens of each that must come out the same: the last ones hang on what follows.
_MAX_DOCUMENTS, _NUM_TOKENS = 200, 32


def same_cut(subject: Subject, shards_dir: Path) -> Estimate | None:
    """Return the share of held-out documents whose first tokens the model's tokenizer makes of their text again.

    Args:
        subject: The model that was trained on the rows.
        shards_dir: Packed shards, with `val_<language>/`.

    Returns:
        None where no held-out document is long enough.
    """
    folders = sorted(shards_dir.glob("val_*"))
    found = []
    for folder in folders:
        documents = _beginnings(RowReader(folder))
        for ids in itertools.islice(documents, _MAX_DOCUMENTS // len(folders)):
            again = encode(subject.tokenizer, str(subject.tokenizer.decode(ids)))
            found.append(again[:_NUM_TOKENS] == ids[:_NUM_TOKENS])
    return share_interval(sum(found), len(found)) if found else None


def _beginnings(reader: RowReader) -> Iterator[list[int]]:
    """Yield twice as many ids as are compared of every document that has them, without BOS, in a fixed random order."""
    for number in np.random.default_rng(0).permutation(len(reader)).tolist():
        row = reader.row(number)
        for start, end in itertools.pairwise(row.cu_seqlens.tolist()):
            ids = row.input_ids[start + 1 : end]
            if row.input_ids[start] == reader.bos_id and len(ids) > 2 * _NUM_TOKENS:
                yield ids[: 2 * _NUM_TOKENS].tolist()
