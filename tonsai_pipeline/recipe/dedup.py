"""What counts as a duplicate, and which of two stays."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from tonsai_pipeline.recipe.section import Section
from tonsai_pipeline.recipe.sources import NamedTexts


class SignatureConfig(Section):
    """What a document is compared by. A change here signs every dump again."""

    num_perm: int = Field(default=128, ge=16, le=1024)
    """Hash values per signature, 4 bytes each. More: candidates are chosen more exactly."""
    seed: int = Field(default=1, ge=0, lt=2**32)
    """Seed of the permutations."""
    clusters_per_shingle: int = Field(default=12, ge=1, le=63)
    """Khmer clusters in a shingle. 12 are about 25 letters or 5 words; fewer make unlike texts look alike."""
    words_per_shingle: int = Field(default=5, ge=1, le=63)
    """Words in a shingle, in scripts that write spaces between words."""


class EvaluationSet(NamedTexts):
    """A benchmark that the corpus must not contain."""

    text_columns: tuple[str, ...] = Field(default=("text",), min_length=1)
    """Fields that hold text: questions, passages, answers. Each is an item of its own."""


class DecontaminateConfig(Section):
    """Documents that hold text of an evaluation set, found by shared n-grams, are dropped."""

    evaluation_sets: tuple[EvaluationSet, ...] = ()
    """The sets, beside `evaluate.texts` and the prompt suite."""
    prompt_suite: bool = True
    """Whether the shipped prompt suite, question and right answer together, is one of them."""
    clusters_per_ngram: int = Field(default=25, ge=1, le=63)
    """Khmer clusters in an n-gram. 25 say as much as 8 English words (3.1 clusters a word, measured)."""
    words_per_ngram: int = Field(default=8, ge=1, le=63)
    """Words in an n-gram. Items shorter than one n-gram are found only where they are a whole document."""
    min_overlap_frac: float = Field(default=0.5, gt=0, le=1)
    """A document that holds this share of the n-grams of any one item is dropped, 0..1."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [one.name for one in self.evaluation_sets]
        if len(set(names)) < len(names):
            raise ValueError(f"evaluation set names must be unique: {', '.join(names)}")
        return self


class RepetitionConfig(Section):
    """A second pass over what stays: documents that are mostly lines of many others, such as menus and notices."""

    enabled: bool = False
    """False leaves such documents to the quality rules, which see one document at a time."""
    min_line_chars: int = Field(default=20, ge=1)
    """Shorter lines do not count, in characters of the folded line."""
    max_documents: int = Field(default=20, ge=1)
    """A line is boilerplate in every document after this many that have it, in catalog order."""
    max_boilerplate_frac: float = Field(default=0.5, gt=0, le=1)
    """A document with a larger share of its bytes in such lines is dropped, 0..1."""


class DedupConfig(Section):
    """Exact and near duplicates, within a dump and across dumps."""

    enabled: bool = True
    """False keeps every document: for a corpus that is known to be clean."""
    signatures: SignatureConfig = SignatureConfig()
    """What a document is compared by."""
    num_bands: int = Field(default=18, ge=1, le=256)
    """Bands of a signature; documents that agree in one whole band are compared exactly."""
    rows_per_band: int = Field(default=7, ge=1, le=64)
    """Hash values per band. Pairs of similarity s are compared with chance 1 - (1 - s^rows)^bands:
    98.6 % at 0.8 and 99.999 % at 0.9 for 18 bands of 7."""
    min_similarity: float = Field(default=0.8, gt=0, le=1)
    """A document this similar to an earlier kept one is dropped, 0..1."""
    measure: Literal["jaccard", "containment"] = "jaccard"
    """`jaccard`: shared shingles over all shingles of both. `containment`: share of the later document's
    shingles that the kept one has, which also drops excerpts of longer texts."""
    policy: Literal["first_dump", "prefer_source"] = "first_dump"
    """Who stays: `first_dump`, the document of the earliest dump (a new dump never changes an old
    decision); `prefer_source`, the document of the source named first in `prefer_sources` (a new dump of
    a preferred source does change decisions about the others, and they are made again)."""
    prefer_sources: tuple[str, ...] = ()
    """Sources in order of preference, for `prefer_source`; unnamed ones come last, in catalog order."""
    decontaminate: DecontaminateConfig = DecontaminateConfig()
    """Evaluation sets that are kept out of the corpus."""
    repetition: RepetitionConfig = RepetitionConfig()
    """Lines that many documents share."""
    max_dropped_frac: float = Field(default=0.8, ge=0, le=1)
    """Guard: no source may lose a larger share of its documents. Copies of the same source's earlier dumps
    do not count: a weekly snapshot repeats the last one."""
    max_group_frac: float = Field(default=0.02, gt=0, le=1)
    """Guard: no group of duplicates may be a larger share of the corpus; groups below 100 never fail."""

    @field_validator("policy", mode="before")
    @classmethod
    def _old_policy(cls, value: object) -> object:
        if value == "best_quality":
            raise ValueError(
                "'best_quality' is gone since 0.2: every new dump changed old decisions; prefer cleaner sources with "
                "policy 'prefer_source' and prefer_sources"
            )
        return value

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        needed = self.num_bands * self.rows_per_band
        if needed > self.signatures.num_perm:
            raise ValueError(
                f"num_bands x rows_per_band = {needed} is more than signatures.num_perm = "
                f"{self.signatures.num_perm}; lower num_bands or rows_per_band, or raise num_perm"
            )
        if bool(self.prefer_sources) != (self.policy == "prefer_source"):
            raise ValueError("prefer_sources goes with policy 'prefer_source', and only with it")
        return self
