"""Recipe section `packing`: documents of the mixture -> rows of tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tonsai_pipeline.recipe.section import Section


class CanaryConfig(Section):
    """Random Khmer strings, planted in the training rows to measure what a model remembers of a text it saw so often.

    They are no part of the mixture, of the tokenizer's sample or of an export, and the evaluation looks for them.
    """

    copies: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = ()
    """How often the canaries are planted, for example `[1, 4, 16, 64]`; empty: there are none."""

    num_each: int = Field(default=2, ge=1, le=1000)
    """Canaries for each number of copies, 1..1,000."""

    num_clusters: int = Field(default=96, ge=16, le=10_000)
    """Khmer clusters of a canary, 16..10,000; a token or more each, and all must fit a row."""

    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of their text and of where they are planted."""


class PackingConfig(Section):
    """How documents share the rows that the model reads."""

    seq_len: int = Field(default=2048, ge=8, le=1 << 20)
    """Tokens of a row, padding included, 8..1,048,576; the context the model is trained with."""

    strategy: Literal["best_fit", "concat"] = "best_fit"
    """best_fit: documents stay whole, only those longer than a row are cut, and rows end in a little padding;
    concat: documents are joined and cut every `seq_len` tokens, which cuts most of them but pads nothing. No
    strategy drops a token."""

    shard_rows: int = Field(default=65_536, ge=1, le=1 << 24)
    """Rows of a shard file at most. Rows are packed and shuffled within a shard, so it also bounds memory."""

    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the order of rows within a shard; the order of documents follows the mixture's seed."""

    documents_frac: float = Field(default=1.0, gt=0.0, le=1.0)
    """Share of the training documents that are packed, 0..1, chosen by a hash: a smaller share is part of a larger one.
    `mixture.total_tokens` shrinks with it, so passes and shares stay. For pilots."""

    canaries: CanaryConfig = CanaryConfig()
    """Texts whose memory is measured; a model trained with some is for that measure, not for others."""
