"""Texts -> normalized_documents, training_mixture and tokenizer artifacts, as many copies as asked for."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from tonsai_pipeline.recipe.sources import NormalizeConfig
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.schema import MIXTURE_DOCUMENTS, NORMALIZED_DOCUMENTS
from tonsai_pipeline.stages.train_tokenizer.count_words import WordCounts
from tonsai_pipeline.stages.train_tokenizer.tokenizer_folder import save_tokenizer
from tonsai_pipeline.storage.documents import part_name, write_part
from tonsai_pipeline.storage.files import write_json
from tonsai_pipeline.storage.store import Artifact, Store

#: Text of a part; the product's own parts are 32 MB, but a few MB must be many parts here as well.
PART_BYTES = 2 << 20


def build(
    store: Store, corpus: dict[str, list[str]], copies: int
) -> tuple[Artifact, dict[str, Artifact]]:
    """Write every copy of a language as a dump; return the mixture and normalized_documents by dump."""
    texts = {
        f"{lang}@{2026_0000 + n}": corpus[lang] for lang in corpus for n in range(1, copies + 1)
    }

    def make(asset, dump, work):
        return store.materialize(
            asset, dump, work, stage_version="1", settings={}, inputs={"copies": str(copies)}
        )

    normalized, pointers = {}, {}
    for dump, said in texts.items():
        parts = list(split(said))
        normalized[dump] = make(
            "normalized_documents", dump, lambda folder, d=dump, p=parts: _texts(folder, d, p)
        )
        pointers[dump] = make(
            "training_mixture.dump", dump, lambda folder, d=dump, p=parts: _pointers(folder, d, p)
        )
    share = 1 / len(corpus)
    shares = dict.fromkeys(corpus, share)

    def whole(folder: Path) -> dict[str, int]:
        write_json(
            folder / "dumps.json", {d: {"path": store.relative(a)} for d, a in pointers.items()}
        )
        write_json(
            folder / "shares.json",
            {
                "languages": shares,
                "sources": {lang: {"lang": lang, "share": share} for lang in corpus},
                "stages": [{"frac": 1.0, "shares": shares}],
                "on_shortage": "redistribute",
                "max_epochs": 1.0,
                "total_tokens": None,
                "seed": 0,
            },
        )
        return {}

    return make("training_mixture", None, whole), normalized


def tokenizer(
    store: Store, words: dict[str, int], held_out: dict[str, list[str]], vocab_size: int
) -> Artifact:
    config = TokenizerConfig(vocab_size=vocab_size, compare_gpt2=False)
    return store.materialize(
        "tokenizer",
        None,
        lambda folder: save_tokenizer(
            WordCounts(words, None),
            held_out,
            folder,
            config=config,
            normalize=NormalizeConfig(),
            sample={},
        ),
        stage_version="1",
        settings={"vocab_size": vocab_size},
        inputs={},
    )


def split(texts: list[str]):
    part, size = [], 0
    for text in texts:
        part.append(text)
        size += len(text.encode())
        if size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _texts(folder: Path, dump: str, parts: list[list[str]]) -> dict[str, int]:
    lang = dump.partition("@")[0]
    for chunk, texts in enumerate(parts):
        fixed = {
            "doc_id": [f"{dump}/{chunk}/{row}" for row in range(len(texts))],
            "text": texts,
            "source": [lang] * len(texts),
            "dump": [dump] * len(texts),
            "lang": [lang] * len(texts),
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
        write_part(
            folder / part_name(0, chunk),
            [pa.table(columns, schema=NORMALIZED_DOCUMENTS)],
            NORMALIZED_DOCUMENTS,
        )
    return {}


def _pointers(folder: Path, dump: str, parts: list[list[str]]) -> dict[str, int]:
    lang = dump.partition("@")[0]
    for chunk, texts in enumerate(parts):
        rows = range(len(texts))
        columns = {
            "doc_id": [f"{dump}/{chunk}/{row}" for row in rows],
            "row_in_part": list(rows),
            "source": [lang] * len(texts),
            "lang": [lang] * len(texts),
            "num_bytes": [len(text.encode()) for text in texts],
            "score": [0.5] * len(texts),
            "split": ["validation" if row % 500 == 1 else "train" for row in rows],
            "repeats": [1.0] * len(texts),
        }
        write_part(
            folder / part_name(0, chunk),
            [pa.table(columns, schema=MIXTURE_DOCUMENTS)],
            MIXTURE_DOCUMENTS,
        )
    return {}
