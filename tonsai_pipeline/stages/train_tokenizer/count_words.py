"""Sampled documents -> how often each word occurs, all that BPE learns from, and each token of a base tokenizer.

part ──choose documents by hash──▶ words, tokens ──count──▶ counts of the part ──gather──▶ WordCounts
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.schema import Language, Split
from tonsai_pipeline.stages.mix.texts import TextPart, read_texts
from tonsai_pipeline.stages.train_tokenizer.counters import kinds_of, open_counters
from tonsai_pipeline.storage.documents import read_batches, read_part, write_part
from tonsai_pipeline.tokenizer.encode import fast_or_plain
from tonsai_pipeline.tokenizer.sample import SourceSample

LABEL = "train_tokenizer"
_WORDS = pa.schema([("word", pa.large_string()), ("count", pa.float64())])
#: Folder of the counts; hidden, so that it is gone when the artifact is published.
_FOLDER = ".words"


class WordCounts(NamedTuple):
    """How often each word occurs, repeats included.

    Args:
        ours: Cut our way.
        gpt2: Cut GPT-2's way, or None.
        base: Tokens of the base tokenizer, or None where none of them goes.
    """

    ours: Mapping[str, int]
    gpt2: Mapping[str, int] | None
    base: Mapping[str, int] | None = None


class _Task(NamedTuple):
    part: TextPart
    sample: Mapping[str, SourceSample]
    config: TokenizerConfig


def content_by_source(parts: Sequence[TextPart], config: TokenizerConfig) -> dict[str, float]:
    """Return the content of the training documents of each source, in bytes of English.

    Anything that is not English counts as Khmer: mixed pages are mostly Khmer bytes.
    """
    content: dict[str, float] = defaultdict(float)
    khmer = config.sample.khmer_bytes_per_content_byte
    for part in parts:
        table = read_part(part.pointers, ["source", "lang", "num_bytes", "split"])
        columns = (table[name].to_pylist() for name in table.column_names)
        for source, lang, num_bytes, split in zip(*columns, strict=True):
            if split == Split.TRAIN:
                content[source] += num_bytes / (1.0 if lang == Language.ENG else khmer)
    return content


def count_words(
    parts: Sequence[TextPart],
    sample: Mapping[str, SourceSample],
    folder: Path,
    *,
    config: TokenizerConfig,
    engine: Engine,
) -> WordCounts:
    """Count the words of the sampled training documents.

    Args:
        parts: Every part of the mixture.
        sample: What is taken of each source.
        folder: The building folder.
        config: The recipe's `tokenizer` section.
        engine: Where parts are counted.

    Raises:
        RecipeError: There is no such base.
    """
    work = [Part(f"words.{part.name}", _Task(part, sample, config)) for part in parts]
    map_parts(engine, _count_part, work, folder=folder, label=LABEL)
    return gather_counts(folder, [part.name for part in parts], config)


def write_counts(folder: Path, name: str, kind: str, counts: Mapping[str, float]) -> None:
    """Write the counts of one part."""
    words = sorted(counts)
    table = pa.table([pa.array(words), [counts[word] for word in words]], names=_WORDS.names)
    write_part(_path(folder, name, kind), [table.cast(_WORDS)] if words else [], _WORDS)


def gather_counts(folder: Path, names: Sequence[str], config: TokenizerConfig) -> WordCounts:
    """Add up the counts of all parts; a word that occurs counts at least once."""
    found = {kind: _gather(folder, names, kind) for kind in kinds_of(config)}
    return WordCounts(found["ours"], found.get("gpt2"), found.get("base"))


def _gather(folder: Path, names: Sequence[str], kind: str) -> dict[str, int]:
    total: dict[str, float] = defaultdict(float)
    for name in names:
        for batch in read_batches(_path(folder, name, kind)):
            pairs = zip(batch["word"].to_pylist(), batch["count"].to_pylist(), strict=True)
            for word, count in pairs:
                total[word] += count
    return {word: max(1, round(count)) for word, count in total.items()}


def _count_part(task: _Task, folder: Path) -> dict[str, Any]:
    """Count the words of one part."""
    return fast_or_plain(lambda fast: _count(task, folder, fast=fast), task.part.name)


def _count(task: _Task, folder: Path, *, fast: bool) -> dict[str, Any]:
    table = read_part(task.part.pointers, ["doc_id", "row_in_part", "source", "split"])
    sources = table["source"].to_pylist()
    by_repeats: dict[float, list[int]] = defaultdict(list)
    for row in _sampled(table, task):
        by_repeats[task.sample[sources[row]].repeats].append(row)
    counters = open_counters(task.config, fast=fast)
    total: dict[str, dict[str, float]] = {kind: defaultdict(float) for kind in counters}
    row_in_part = table["row_in_part"].to_numpy()
    num_documents = 0
    for repeats, rows in sorted(by_repeats.items()):
        counts: dict[str, Counter[str]] = {kind: Counter() for kind in counters}
        for selected in read_texts(task.part, row_in_part, np.array(rows, dtype=np.int64)):
            for kind, count_texts in counters.items():
                counts[kind].update(count_texts(selected.texts))
        for kind, counter in counts.items():
            for word, count in counter.items():
                total[kind][word] += count * repeats
        num_documents += len(rows)
    for kind in counters:
        write_counts(folder, task.part.name, kind, total[kind])
    return {"num_documents": num_documents}


def _sampled(table: pa.Table, task: _Task) -> npt.NDArray[np.int64]:
    """Choose training documents by a hash of their id: the same ones whatever the parts."""
    columns = (table[name].to_pylist() for name in ("doc_id", "source", "split"))
    chosen = []
    for row, (doc_id, source, split) in enumerate(zip(*columns, strict=True)):
        if split == Split.TRAIN and source in task.sample:
            place = xxhash.xxh3_64_intdigest(doc_id.encode(), seed=task.config.sample.seed) / 2**64
            if place < task.sample[source].frac:
                chosen.append(row)
    return np.array(chosen, dtype=np.int64)


def _path(folder: Path, name: str, kind: str) -> Path:
    return folder / _FOLDER / f"{name}.{kind}.parquet"
