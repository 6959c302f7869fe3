"""Texts by language -> a builder of the product's own stages over them, as many copies as asked for.

texts ──▶ normalized_documents, mixture_documents ──mix, train_tokenizer, tokenize, pack──▶ packed_shards
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Builder, DumpView, Pipeline, Stage, raw_dump, same_dump
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.schema import MIXTURE_DOCUMENTS, NORMALIZED_DOCUMENTS, DumpKey
from tonsai_pipeline.stages.mix.stage import STAGE as MIX
from tonsai_pipeline.stages.mix.texts import CHOSEN
from tonsai_pipeline.stages.pack.stage import STAGE as PACK
from tonsai_pipeline.stages.tokenize.stage import STAGES as TOKENIZE
from tonsai_pipeline.stages.train_tokenizer.stage import STAGE as TOKENIZER
from tonsai_pipeline.storage.documents import part_name, read_part, write_part
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Artifact, Store

#: Text of a part; the product's own parts are 32 MB, but a few MB must be many parts here as well.
PART_BYTES = 2 << 20
#: Every so many documents, one is held out.
_HOLD_OUT_EVERY = 500
_TOKENIZER = ("training_mixture", "tokenizer")
_SHARDS = ("tokenized_documents", "packed_shards")


@dataclass(frozen=True)
class _Dump:
    """A copy of the texts of a language."""

    key: DumpKey
    texts: Sequence[str]
    #: A root belongs to one corpus, so nothing must be told apart.
    version: str = "1"

    def stamp(self) -> str:
        return self.version

    def current_version(self) -> str:
        return self.version


def open_builder(
    root: Path,
    corpus: Mapping[str, Sequence[str]],
    engine: Engine,
    *,
    copies: int = 1,
    hold_out_every: int = _HOLD_OUT_EVERY,
    **sections: Any,
) -> Builder:
    """Return a builder whose dumps are copies of a language, mixed in even shares.

    Args:
        root: Where artifacts go; of one corpus.
        corpus: Texts by language; only the languages count once the tokenizer is there.
        engine: Where parts are worked on.
        copies: Dumps of each language.
        hold_out_every: Every so many documents, one is held out.
        sections: Sections of the recipe.
    """
    shares = dict.fromkeys(corpus, 1 / len(corpus))
    recipe = Recipe.model_validate(
        {
            "name": "benchmark",
            "sources": [{"name": lang, "lang": lang} for lang in corpus],
            "mixture": {"languages": shares, "max_epochs": 1.0},
            **sections,
        }
    )
    keys = [DumpKey.of(lang, str(2026_0101 + n)) for lang in corpus for n in range(copies)]
    dumps = {key: _Dump(key, corpus[key.source]) for key in keys}
    view = DumpView({key: dump.version for key, dump in dumps.items()}, dumps.__getitem__)
    store = Store(Layout(root, recipe.name))
    return Builder(Pipeline(_stages(hold_out_every)), recipe, store, view, engine=lambda: engine)


def tokenizer(builder: Builder) -> Artifact:
    """Train the tokenizer on the mixture, if it is not there."""
    return [builder.build(name) for name in _TOKENIZER][-1]


def shards(builder: Builder, *, again: bool = False) -> Artifact:
    """Tokenize and pack; `again` even if that is done."""
    tokenizer(builder)
    return [builder.build(name, force=again) for name in _SHARDS][-1]


def split(texts: Sequence[str]) -> Iterator[list[str]]:
    part, size = [], 0
    for text in texts:
        part.append(text)
        size += len(text.encode())
        if size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _write_texts(dump: _Dump, folder: Path, *, engine: Engine) -> dict[str, int]:
    del engine
    for chunk, texts in enumerate(split(dump.texts)):
        fixed = {
            "doc_id": [f"{dump.key}/{chunk}/{row}" for row in range(len(texts))],
            "text": texts,
            "source": [dump.key.source] * len(texts),
            "dump": [dump.key] * len(texts),
            "lang": [dump.key.source] * len(texts),
            "num_bytes": [len(text.encode()) for text in texts],
        }
        columns = []
        for field in NORMALIZED_DOCUMENTS:
            if field.name in fixed:
                columns.append(pa.array(fixed[field.name], field.type))
            elif field.nullable:
                columns.append(pa.nulls(len(texts), field.type))
            else:
                columns.append(pa.array([0] * len(texts)).cast(field.type))
        table = pa.table(columns, schema=NORMALIZED_DOCUMENTS)
        write_part(folder / part_name(0, chunk), [table], NORMALIZED_DOCUMENTS)
    return {"num_documents": len(dump.texts)}


def _choose_all(
    normalized: Artifact, folder: Path, *, engine: Engine, hold_out_every: int
) -> dict[str, int]:
    """Choose every document, some for validation."""
    del engine
    counts = Counter(num_left_out=0)
    for path in normalized.parts():
        table = read_part(path, ["doc_id", "source", "lang", "num_bytes"])
        held_out = [row % hold_out_every == 1 for row in range(table.num_rows)]
        columns = {name: table[name] for name in table.column_names} | {
            "row_in_part": list(range(table.num_rows)),
            "score": [0.5] * table.num_rows,
            "split": ["validation" if held else "train" for held in held_out],
            "repeats": [1.0] * table.num_rows,
        }
        write_part(
            folder / path.name,
            [pa.table(columns).select(MIXTURE_DOCUMENTS.names).cast(MIXTURE_DOCUMENTS)],
            MIXTURE_DOCUMENTS,
        )
        sizes = table["num_bytes"].to_pylist()
        counts["num_validation"] += sum(held_out)
        counts["num_train"] += table.num_rows - sum(held_out)
        counts["num_bytes"] += sum(n for n, held in zip(sizes, held_out, strict=True) if not held)
    return dict(counts)


def _stages(hold_out_every: int) -> tuple[Stage, ...]:
    choose = partial(_choose_all, hold_out_every=hold_out_every)
    normalized = same_dump("normalized_documents")
    return (
        Stage("normalized_documents", "1", _write_texts, {}, {"dump": raw_dump()}, each_dump=True),
        Stage(
            "mixture_documents",
            "1",
            choose,
            reads={"normalized": normalized},
            each_dump=True,
            part_of="training_mixture",
        ),
        MIX,
        CHOSEN,
        TOKENIZER,
        *TOKENIZE,
        PACK,
    )
