"""Rows of random tokens whose documents are as long as real ones: speed and memory do not depend on the words."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tonsai_pipeline.storage.shards import SEGMENT, RowBlock, RowsHeader, RowWriter

BOS, EOS, PAD = 0, 1, 2
#: Tokens of a document: log-normal around e^5.6 = 270, the median of the English text in docs/performance.md.
LOG_MEAN, LOG_DEVIATION = 5.6, 1.2


def write_shards(folder: Path, *, seq_len: int, vocab_size: int, num_rows: int) -> Path:
    generator = np.random.default_rng(0)
    for split, count in (("train", num_rows), ("val_eng", 2)):
        header = RowsHeader(
            seq_len, vocab_size, PAD, BOS, EOS, "generated", ("generated",), ("eng",)
        )
        with RowWriter(folder / split, header) as writer:
            for _ in range(count):
                ids = generator.integers(3, vocab_size, seq_len)
                lengths = _lengths(generator, seq_len)
                starts = np.cumsum([0, *lengths[:-1]])
                ids[starts] = BOS
                ids[starts + lengths - 1] = EOS
                table = np.zeros(len(lengths), SEGMENT)
                table["num_tokens"], table["num_bytes"] = lengths, lengths
                writer.append(RowBlock(ids[None], np.array([len(lengths)]), table))
    return folder


def write_tokenizer(folder: Path) -> Path:
    """Write what an export needs: a tokenizer of three markers."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(
        models.BPE(vocab={"<|bos|>": BOS, "<|eos|>": EOS, "<|pad|>": PAD}, merges=[])
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|bos|>", eos_token="<|eos|>", pad_token="<|pad|>"
    ).save_pretrained(str(folder))
    return folder


def _lengths(generator: np.random.Generator, seq_len: int) -> np.ndarray:
    """Lengths of documents that fill a row exactly; the last one is cut."""
    lengths: list[int] = []
    while (left := seq_len - sum(lengths)) > 0:
        length = min(left, max(4, int(generator.lognormal(LOG_MEAN, LOG_DEVIATION))))
        # Too little for another document: the last one takes it.
        lengths.append(left if left - length < 4 else length)
    return np.array(lengths)
