"""Recipe section `packing`: documents of the mixture -> rows of tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tonsai_pipeline.recipe.section import Section


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
