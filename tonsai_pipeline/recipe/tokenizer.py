"""Recipe section `tokenizer`: which tokenizer is trained, taken over or extended."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tonsai_pipeline.recipe.section import FolderOrHub, Section
from tonsai_pipeline.recipe.sources import Name


class SampleConfig(Section):
    """The text a tokenizer is trained on: a sample of the mixture, balanced by content."""

    max_content_bytes: int = Field(default=100_000_000, ge=1)
    """Size of the sample, in bytes of content: Khmer bytes count 1 / `khmer_bytes_per_content_byte`. 100 MB is
    about 200 MB of text at 60 % Khmer; more changes the vocabulary little and costs memory."""

    khmer_bytes_per_content_byte: float = Field(default=3.25, gt=0, le=10)
    """UTF-8 bytes that Khmer needs to say what English says in one. Measured on NTREX-128: 801 KB to 248 KB."""

    max_repeats: float = Field(default=4.0, ge=1, le=100)
    """How often a scarce source's words may be counted to reach its share, from 1."""

    max_source_frac: float = Field(default=0.5, gt=0, le=1)
    """Largest share of a language's part of the sample that one source may give, where there are others: a vocabulary
    learned from the help pages of one program is a book of its phrases. What is cut goes to the other sources."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the choice of documents."""


class ParallelConfig(Section):
    """Two sources whose documents say the same in the same order: record i of one is record i of the other."""

    khm: Name
    """Name of the Khmer source."""
    eng: Name
    """Name of the English source."""


class TokenizerConfig(Section):
    """Train a tokenizer on the mixture; or take the one of `base`, prune it, extend it with Khmer tokens."""

    vocab_size: int = Field(default=50_000, ge=512, le=1_000_000)
    """Tokens, special ones included; the model's embedding has this rounded up to a multiple of 128."""

    alphabet: Literal["byte", "char"] = "byte"
    """What merging starts from. byte: 256 bytes, works in every inference engine; char: characters, and byte
    tokens for rare ones. At 50,000 tokens both hold 12.7 bytes of Khmer a token (docs/tokenizer.md)."""

    min_cluster_per_million: float | None = Field(default=2.0, ge=0)
    """A Khmer cluster that occurs so often per million clusters is one symbol from the start; empty: merging
    starts from characters, and one token in 13 starts inside a cluster instead of one in 100."""

    max_token_chars: int = Field(default=24, ge=2, le=256)
    """Longest token, in code points; keeps whole phrases out of the vocabulary."""

    max_token_clusters: int = Field(default=8, ge=1, le=256)
    """Longest token, in Khmer clusters: 8 are about three words. Measured in docs/quality.md."""

    min_frequency: int = Field(default=2, ge=1)
    """Least count of a pair of tokens that is merged."""

    min_char_count: int = Field(default=10, ge=1)
    """alphabet char: a character that occurs so often in the sample has a token of its own."""

    num_reserved_tokens: int = Field(default=27, ge=0, le=10_000)
    """Special tokens kept for later use, beside `<|bos|> <|eos|> <|pad|> <|im_start|> <|im_end|>`."""

    sample: SampleConfig = SampleConfig()
    """The text it is trained on."""

    compare_gpt2: bool = True
    """Whether a second tokenizer of the same size is trained on the same text with GPT-2's word pattern, for the
    report; about doubles the time."""

    parallel: ParallelConfig | None = None
    """Two sources that are translations of each other, for the report: how many Khmer tokens say what one English
    token says. Give them weight 0, or they are trained on."""

    base: FolderOrHub | None = None
    """A tokenizer folder or Hub id that is taken instead of training one."""

    base_revision: str | None = None
    """Commit or tag of a Hub `base`; pin it, or the run cannot be repeated."""

    keep_base_tokens: int | None = Field(default=None, ge=512, le=1_000_000)
    """With `base`: tokens of it that stay, those that the mixture uses most, bytes and special tokens among them; the
    others go, and with them their rows of the model (docs/training.md). Empty: all stay."""

    extend_khmer_tokens: int = Field(default=0, ge=0, le=1_000_000)
    """With `base`: Khmer tokens that are learned on the mixture and added to it, for continual pretraining."""

    extend_words: Literal["base", "qwen35"] = "base"
    """With `extend_khmer_tokens`: base: Khmer words are kept whole and everything else is cut as the base does, which
    llama.cpp has no pattern for; qwen35: marks join letters in every script, as llama.cpp can, and text without
    combining marks is cut as before. For bases that cut words as Qwen2 and Qwen3 do."""

    @model_validator(mode="after")
    def _base_is_there(self) -> Self:
        if self.base is None and self.base_revision is not None:
            raise ValueError("`base_revision` names a commit of `base`, which is empty")
        if self.base is None and self.extend_khmer_tokens:
            raise ValueError("`extend_khmer_tokens` extends `base`, which is empty")
        if self.base is None and self.keep_base_tokens is not None:
            raise ValueError("`keep_base_tokens` are of `base`, which is empty")
        return self
