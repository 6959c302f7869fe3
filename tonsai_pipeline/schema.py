"""The records that flow through the pipeline: columns of every table, closed lists of words.

Tables are Parquet; a *part* is one file of a table (`part-00000-00000.parquet`). Column order is the order here.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Self

import pyarrow as pa

#: Names of sources and recipes: they become folder names and Dagster keys.
NAME_PATTERN = r"[a-z0-9][a-z0-9_.-]{0,62}"
#: What the source of planted canaries is called in packed rows; see `metrics/canary.py`.
CANARY_SOURCE = "canary"
_DUMP_KEY = re.compile(rf"(?P<source>{NAME_PATTERN})@(?P<date>[0-9]{{8}})")


class DumpKey(str):
    """`<source>@<YYYYMMDD>`: one dated snapshot of one source; the Dagster partition key.

    Raises:
        ValueError: The text is no dump key.

    Example:
        >>> DumpKey("wikipedia-km@20261101").source
        'wikipedia-km'
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check the text; see the class."""
        if not _DUMP_KEY.fullmatch(text):
            raise ValueError(
                f"dump key {text!r}: write it as <source>@<YYYYMMDD>, for example wikipedia-km@20261101"
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, source: str, date: str) -> DumpKey:
        """Return the key of a source's dump of a date (YYYYMMDD)."""
        return cls(f"{source}@{date}")

    @property
    def source(self) -> str:
        """Name of the source."""
        return self.rpartition("@")[0]

    @property
    def date(self) -> str:
        """YYYYMMDD."""
        return self.rpartition("@")[2]


class Language(StrEnum):
    """Language of a document, decided by script share and stop words (see `text/script.py`)."""

    KHM = "khm"
    ENG = "eng"
    MIXED = "mixed"
    OTHER = "other"


class Split(StrEnum):
    """What a document is used for."""

    TRAIN = "train"
    VALIDATION = "validation"


#: raw_documents: one row a document, exactly as the dump had it.
#: `doc_id` = "<dump>/<XXH3-64 of `file`>/<row>": the same whichever other files the dump has. `file` is the
#: name relative to the data folder, the inbox or the added folder. `row` counts records in the file from 0, bad
#: and skipped ones included. `meta` is the record's other fields as JSON.
RAW_DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("dump", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("title", pa.string()),
        pa.field("meta", pa.string()),
    ]
)

#: normalized_documents: canonical text plus what normalization saw. Rows keep the order of raw_documents;
#: rejected documents (legacy fonts, empty after normalization) are in `rejected/` with a reason.
NORMALIZED_DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("dump", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("title", pa.string()),
        pa.field("meta", pa.string()),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("khmer_frac", pa.float32(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("num_clusters", pa.int32(), nullable=False),
        pa.field("num_repairs", pa.int32(), nullable=False),
        pa.field("num_zwsp", pa.int32(), nullable=False),
        pa.field("num_orphan_marks", pa.int32(), nullable=False),
        pa.field("num_invalid_clusters", pa.int32(), nullable=False),
    ]
)

#: A rejected document, or with `page` (from 1) a page of one, refused when text in a legacy font was converted: kept for the
#: eyes, never trained on. `detail` is JSON: the scores that a page was refused for.
REJECTED_DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("page", pa.int32()),
        pa.field("detail", pa.string()),
    ]
)

#: quarantine/: a row or a stretch of a file that could not be read. `excerpt` is at most 500 characters.
#: `num_rows` is 1, or for a stretch the records it stands for, as far as they are known. `lost_bytes` are stored
#: bytes of the file lost beside the record itself: 0 for a record that costs only itself, null if unknown.
QUARANTINE = pa.schema(
    [
        pa.field("dump", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("byte_offset", pa.int64()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("excerpt", pa.string(), nullable=False),
        pa.field("num_rows", pa.int64(), nullable=False),
        pa.field("lost_bytes", pa.int64()),
    ]
)

#: minhash_signatures: one row a normalized document, same part names, same order. `exact_high` and
#: `exact_low` are the XXH3-128 of the dedup key. `signature` is num_perm little-endian uint32 (the width is
#: set when the table is written); the schema's metadata says by which scheme (`SCHEME_ID_KEY`).
MINHASH_SIGNATURES = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("exact_high", pa.uint64(), nullable=False),
        pa.field("exact_low", pa.uint64(), nullable=False),
        pa.field("num_shingles", pa.int32(), nullable=False),
        pa.field("signature", pa.binary(), nullable=False),
    ]
)
SCHEME_ID_KEY = b"tonsai.scheme_id"


class DedupReason(StrEnum):
    """Why deduplication dropped a document."""

    #: Its dedup key is the same as an earlier document's.
    EXACT = "exact"
    #: Its shingles are those of an earlier kept document, to the configured similarity.
    NEAR = "near"
    #: It holds text of an evaluation set.
    CONTAMINATED = "contaminated"
    #: Most of it are lines that many earlier documents have.
    BOILERPLATE = "boilerplate"


#: The keep-list of a dump: rows of the normalized part of the same name that stay. `group_size` counts the
#: document and the ones of the same dump that were dropped for it.
KEPT_DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("row_in_part", pa.int32(), nullable=False),
        pa.field("group_size", pa.int32(), nullable=False),
    ]
)

#: Documents dropped by deduplication. Duplicates: for which kept document (in an earlier dump or this one), at
#: which similarity. Contaminated ones: because of which evaluation item ("<set>/<column>/<row>"), at which overlap.
#: Boilerplate: `similarity` is the share of its bytes in lines that many documents have.
DROPPED_DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("row_in_part", pa.int32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),
        pa.field("kept_doc_id", pa.string()),
        pa.field("kept_dump", pa.string()),
        pa.field("kept_part", pa.string()),
        pa.field("kept_row_in_part", pa.int32()),
        pa.field("evaluation_item", pa.string()),
    ]
)

#: Documents that hold text of an evaluation set: the item they hold most of, and the share of its n-grams.
CONTAMINATED_DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("row_in_part", pa.int32(), nullable=False),
        pa.field("evaluation_set", pa.string(), nullable=False),
        pa.field("evaluation_item", pa.string(), nullable=False),
        pa.field("overlap_frac", pa.float32(), nullable=False),
    ]
)

#: The items of all evaluation sets. `num_ngrams` counts distinct ones; an item shorter than one
#: n-gram has one, which only a document that is the same text has too.
EVALUATION_ITEMS = pa.schema(
    [
        pa.field("evaluation_set", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("num_ngrams", pa.int32(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
    ]
)

#: The documents that those of one dump were dropped for, by ascending running number in the corpus.
KEPT_DUPLICATES = pa.schema(
    [
        pa.field("doc_index", pa.int64(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
    ]
)

#: Groups of two or more over the whole corpus, by kept document: what rehydration needs.
DUPLICATE_GROUPS = pa.schema(
    [
        pa.field("dump", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("row_in_part", pa.int32(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("group_size", pa.int32(), nullable=False),
        pa.field("num_dumps", pa.int32(), nullable=False),
    ]
)

#: scored_documents: one row a document that survived dedup, in the order of normalized_documents.
#: `drop_reason` is null for documents that stay. `row_in_part` indexes the normalized part of the same name.
SCORED_DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("row_in_part", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("drop_reason", pa.string()),
        pa.field("group_size", pa.int32(), nullable=False),
    ]
)

#: Rows of a normalized part whose texts are read through the mixture, ascending.
CHOSEN_DOCUMENTS = pa.schema([pa.field("row_in_part", pa.int32(), nullable=False)])

#: training_mixture: the documents that may be trained on, as pointers into normalized_documents.
#: `lang` is the language whose share the document fills: that of its source. `split` is "train" or
#: "validation". `repeats` says how often it is read relative to the others of its source (quality buckets,
#: rehydration). Shares live beside the table in `shares.json`.
MIXTURE_DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("row_in_part", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("repeats", pa.float32(), nullable=False),
    ]
)

#: Held-out documents of a mixture as text, for models with any tokenizer.
HELD_OUT_TEXTS = pa.schema(
    [
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)

#: A conversation as a list of turns.
MESSAGES = pa.list_(
    pa.struct([pa.field("role", pa.string()), pa.field("content", pa.large_string())])
)

#: instruction_data: one row a record of a source that could be read. `drop_reason` is null where it may be learned from.
#: `lang` is that of the last reply: khm, eng, mixed or other.
CONVERSATIONS = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("messages", MESSAGES, nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("drop_reason", pa.string()),
        pa.field("khmer_frac", pa.float32(), nullable=False),
        pa.field("repeat_frac", pa.float32(), nullable=False),
        pa.field("invalid_cluster_frac", pa.float32(), nullable=False),
    ]
)

#: Conversations of an sft_dataset that are held out, for models with any tokenizer.
HELD_OUT_CONVERSATIONS = pa.schema(
    [CONVERSATIONS.field(name) for name in ("source", "row", "lang", "messages")]
)
