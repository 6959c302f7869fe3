"""Where raw text comes from: the `sources` of a recipe, and how their dumps are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tonsai_pipeline.recipe.section import RecipePath, Section
from tonsai_pipeline.schema import NAME_PATTERN

if TYPE_CHECKING:
    from tonsai_pipeline.text import NormalizeOptions

#: Names become folder names and Dagster partition keys.
Name = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
DumpFormat = Literal[
    "auto",
    "jsonl",
    "json",
    "parquet",
    "csv",
    "tsv",
    "text",
    "mediawiki",
    "wet",
    "warc",
    "pdf",
    "hf_disk",
]

#: What the documents of a source are: it decides what a good one looks like (`quality`).
Kind = Literal["prose", "sentences", "lexicon", "verse", "dialogue", "headlines"]


class DialectConfig(Section):
    """How a CSV or TSV file tells fields apart; what is left out follows the format's habit."""

    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Character between fields; a comma in `csv`, a tab in `tsv`."""
    quoting: Literal["minimal", "none"] | None = None
    """`minimal`: a field may stand in double quotes (RFC 4180), the habit of `csv`. `none`: quotes are text and a
    record is a line, the habit of `tsv`."""
    escape: str | None = Field(default=None, min_length=1, max_length=1)
    """Character that makes the next one text, such as a backslash."""


class HubDataset(Section):
    """A data set on the Hugging Face Hub, read through `datasets`."""

    id: str
    """Repository id, for example `HuggingFaceFW/fineweb-2`."""
    config: str | None = None
    """Configuration (subset) name."""
    split: str = "train"
    """Split name."""
    revision: str | None = None
    """Commit, tag or branch. Pin it: without one the same recipe may read other text tomorrow."""
    streaming: bool = True
    """Read over the network without storing the files first."""
    max_samples: int | None = Field(default=None, ge=1)
    """Stop after this many rows; None for all."""


class NamedTexts(Section):
    """Texts that a model is measured on, and that are therefore kept out of the corpus."""

    name: Name
    """Short name, for reports and tables."""
    path: RecipePath | None = None
    """File in any format that sources have; a relative path starts at the recipe's folder."""
    hub: HubDataset | None = None
    """A data set on the Hub instead of a path. Pin its revision."""
    format: DumpFormat = "auto"
    """File format; `auto` decides by the file name."""

    @model_validator(mode="after")
    def _path_or_hub(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError(f"'{self.name}' needs either 'path' or 'hub'")
        return self


class Source(Section):
    """One source of text; its dumps are dated snapshots of it.

    A source has a `path` (one dump, dated `date`), or a `hub` data set (likewise), or neither: then its
    dumps are whatever lies in the inbox under its name.
    """

    name: Name
    """Short name: lower-case letters, digits, `_ . -`. Appears in dump keys as `<name>@<date>`."""
    lang: Literal["khm", "eng"]
    """Language whose share of the mixture this source fills."""
    weight: float = Field(default=1.0, ge=0)
    """Target share of its language's tokens, relative to the language's other sources. 0: not trained on."""
    path: str | tuple[str, ...] | None = None
    """File, folder, glob or fsspec URL, or several. Relative paths start at the data folder
    (`--data`, TONSAI_DATA, or the folder of the recipe)."""
    hub: HubDataset | None = None
    """A data set on the Hub instead of a path."""
    keep_raw: bool = True
    """Whether the text of `raw_documents` stays on disk. `false` is for dumps larger than the disk: files at URLs are fetched
    a few at a time, and each is let go when its documents are normalized. Another setting of `ingest` or `normalize` then
    means fetching the dump again."""
    date: str = Field(default="00000000", pattern=r"^[0-9]{8}$")
    """Date of the dump named by `path` or `hub`, as YYYYMMDD. Dumps are deduplicated in date order."""
    format: DumpFormat = "auto"
    """File format; `auto` decides by the file name."""
    text_column: str = "text"
    """Field that holds the text, in formats that have fields."""
    text_layout: Literal["file", "line", "blank_line"] = "blank_line"
    """Plain text only: a document is a whole file, a line, or a block between blank lines."""
    dialect: DialectConfig = DialectConfig()
    """CSV and TSV only: delimiter, quoting and escape, where they are not those of the format."""
    where: dict[str, bool | int | float | str | None] = Field(default_factory=dict)
    """Only records whose fields have these values, for example `{lang: khm, is_article: true}`; `url`, `title` and
    `a.b` are fields too. The rest is counted and skipped."""
    max_documents: int | None = Field(default=None, ge=1)
    """Stop each dump after this many documents; None for all."""
    kind: Kind = "prose"
    """What its documents are: pages of `prose`, single `sentences`, entries of a `lexicon`, `verse`, `dialogue` (plays,
    chats, transcripts) or `headlines`. Each kind has quality limits of its own."""
    legacy_fonts: Literal["reject", "convert"] = "reject"
    """Khmer in a font from before Unicode (Limon, ABC): its lines are cut and its documents rejected, or converted to Unicode
    page by page where the result passes for Khmer."""
    legacy_tables: tuple[RecipePath, ...] = ()
    """With `legacy_fonts: convert`: tables of further font families, as TSV (`docs/khmer.md`)."""
    converted_weight: float = Field(default=1.0, ge=0)
    """How often a converted document is read, relative to the source's others. 0: not trained on."""
    license: str | None = None
    """Licence of the text, carried into the data card."""

    @model_validator(mode="after")
    def _path_or_hub(self) -> Self:
        if self.path is not None and self.hub is not None:
            raise ValueError(f"source '{self.name}' has both 'path' and 'hub'; keep one")
        if self.hub is not None and self.hub.max_samples is not None and not self.keep_raw:
            raise ValueError(
                f"source '{self.name}': with 'keep_raw: false' the files of the data set are read and not its rows; "
                "write 'max_documents' instead of 'hub.max_samples'"
            )
        return self


class IngestConfig(Section):
    """How raw dumps become document parts."""

    part_bytes: int = Field(default=32 << 20, ge=1 << 10)
    """Text per part, in bytes: the unit of parallel work and of resume."""
    max_document_bytes: int = Field(default=64 << 20, ge=1 << 10)
    """A longer document goes to quarantine, in bytes of UTF-8."""
    max_bad_frac: float = Field(default=0.5, ge=0, le=1)
    """A dump with a larger share of unreadable rows fails its check (its good rows are kept all the same)."""
    max_lost_frac: float = Field(default=0.01, ge=0, le=1)
    """A dump with a file of which a larger share could not be read at all, beside single bad rows, fails its check
    and stops there. What a cut file lost is unknown and counts as too much, unless this is 1."""

    unkeyed: ClassVar = frozenset({"max_bad_frac", "max_lost_frac"})


class NormalizeConfig(Section):
    """Khmer text in one canonical encoding; the rules are in `docs/khmer.md`."""

    coeng_da: Literal["fold", "preserve"] = "fold"
    """U+17D2 U+178A looks like U+17D2 U+178F: write both as the latter (`fold`) or leave them."""
    duplicate_marks: Literal["collapse", "keep"] = "collapse"
    """A vowel or sign typed several times in a row: stored once, or kept, as in chats that lengthen words."""
    lid_model: RecipePath | None = None
    """Path of a fastText language model (lid.176, GlotLID); None decides by script and stop words."""

    def options(self) -> NormalizeOptions:
        """Return what the normalizer does: the same for corpus, tokenizer and inference."""
        # A recipe is read without numba, which `text` loads.
        from tonsai_pipeline.text import NormalizeOptions

        return NormalizeOptions(
            coeng_da=self.coeng_da, collapse_duplicate_marks=self.duplicate_marks == "collapse"
        )
