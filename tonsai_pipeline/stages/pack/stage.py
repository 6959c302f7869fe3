"""training_mixture + tokenized_documents -> packed_shards: rows of tokens in training order, and held-out rows.

    tokenized documents ──shares, order──▶ run ──windows──▶ train/       one shard a window
                      └──held-out documents, in order──▶ val_khm/, val_eng/
    packing.canaries ──▶ planted among the documents of train/, and told in canaries.json

Every token of the run is in exactly one row: what goes in is counted against what comes out.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.lineage import Fields, Stage, every_dump, whole
from tonsai_pipeline.mixture.budget import effective_tokens
from tonsai_pipeline.packing import PACKING_VERSION
from tonsai_pipeline.packing.rows import PackingStats, position_coverage
from tonsai_pipeline.packing.windows import cut_windows
from tonsai_pipeline.recipe.packing import PackingConfig
from tonsai_pipeline.schema import CANARY_SOURCE, DumpKey, Language
from tonsai_pipeline.stages.mix.shares import mixed_sources
from tonsai_pipeline.stages.pack.canaries import plant
from tonsai_pipeline.stages.pack.plan import (
    DocumentTable,
    RunPlan,
    Shares,
    held_out,
    plan_run,
    read_documents,
    read_shares,
    take_part,
)
from tonsai_pipeline.stages.pack.rows import Window, pack_window, save_plan
from tonsai_pipeline.stages.tokenize.stage import read_info
from tonsai_pipeline.storage.shards import RowsHeader, ShardEntry, finish_rows
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.tokenizer.assemble import TokenizerInfo
from tonsai_pipeline.tokenizer.encode import Encoder
from tonsai_pipeline.tokenizer.fertility import token_lengths

TRAIN = "train"
#: Folder of what the workers share; hidden, so that it is gone when the artifact is published.
_PLANS = ".plan"


@dataclass(frozen=True)
class PackReport:
    """What the rows hold.

    Args:
        seq_len: Tokens of a row.
        strategy: How documents were packed.
        vocab_size: Rows of the model's embedding.
        num_tokens: Tokens of the run, without padding.
        num_rows: Rows of the run.
        fill_frac: Share of places in training rows that hold a token.
        splits: The numbers of every split: rows, documents, tokens, segments, documents cut, fill, segments a row.
        sources: By source: language, documents, bytes and tokens available, tokens in the run, epochs, share, target share, and what
            the tokens are worth when repeats count less.
        languages: Share of tokens of each language.
        shortfalls: Sources that give no token and languages that miss their share, with what would be feasible.
        position_coverage: Share of documents that reach a position, for models whose positions restart.
        num_canary_tokens: Tokens of the run that belong to no source of the recipe.
    """

    seq_len: int
    strategy: str
    vocab_size: int
    num_tokens: int
    num_rows: int
    fill_frac: float
    splits: Mapping[str, Mapping[str, float]]
    sources: Mapping[str, Mapping[str, Any]]
    languages: Mapping[str, float]
    position_coverage: Sequence[tuple[int, float]]
    shortfalls: Sequence[str]
    num_canary_tokens: int


def pack(
    mixture: Artifact,
    mixed: Mapping[DumpKey, Artifact],
    tokens: Mapping[DumpKey, Artifact],
    tokenizer: Artifact,
    folder: Path,
    *,
    config: PackingConfig,
    engine: Engine,
) -> PackReport:
    """Pack the run.

    Args:
        mixture: The training_mixture: its shares.
        mixed: mixture_documents by dump, in catalog order.
        tokens: Tokenized documents of the same dumps.
        tokenizer: The tokenizer.
        folder: The building folder.
        config: The recipe's `packing` section.
        engine: Where parts and windows are worked on.

    Raises:
        DataError: The shares do not fit the text there is, or an input is damaged.
    """
    info = read_info(tokenizer)
    shares = read_shares(mixture)
    table = read_documents(mixed, tokens, shares)
    table, shares = take_part(table, shares, config.documents_frac)
    run = plan_run(table, shares, mixture.path)
    header = _header(info, shares, config)
    tokenizer_json = (tokenizer.path / "tokenizer.json").read_bytes()
    if config.canaries.copies:
        encoder = Encoder(tokenizer_json, info, header.dtype)
        table, run = plant(table, run, folder, folder / _PLANS, config=config, encoder=encoder)
    lengths = token_lengths(tokenizer_json)
    packer = _Packer(folder, config, header, table, lengths, engine)
    results = {TRAIN: packer.train(run, shares)}
    for number, language in enumerate(table.languages):
        results[f"val_{language}"] = packer.validation(language, held_out(table, number))
    num_tokens = sum(run.realised.values()) + run.num_canary_tokens
    _check_nothing_lost(results[TRAIN].stats, num_tokens, folder)
    sources = _sources(run, shares, table)
    return _report(results, sources, packer.header, config, run)


@dataclass(frozen=True)
class _Split:
    stats: PackingStats
    histogram: Mapping[int, int]


@dataclass(frozen=True)
class _Packer:
    """Packs the splits of one artifact."""

    folder: Path
    config: PackingConfig
    header: RowsHeader
    table: DocumentTable
    token_lengths: npt.NDArray[np.int32]
    engine: Engine

    def train(self, run: RunPlan, shares: Shares) -> _Split:
        """Pack the run, window by window."""
        epochs = max(run.budget.epochs.values(), default=1.0)
        return self._pack(
            TRAIN,
            run.order,
            run.stage_ends,
            strategy=self.config.strategy,
            seed=self.config.seed ^ shares.seed,
            num_epochs=epochs,
        )

    def validation(self, language: str, documents: npt.NDArray[np.int64]) -> _Split:
        """Pack the held-out documents of a language in their order."""
        ends = (len(documents),)
        return self._pack(f"val_{language}", documents, ends, strategy="in_order", seed=None)

    def _pack(
        self,
        split: str,
        order: npt.NDArray[np.int64],
        stage_ends: Sequence[int],
        *,
        strategy: str,
        seed: int | None,
        num_epochs: float = 1.0,
    ) -> _Split:
        plan = f"{_PLANS}/{split}"
        save_plan(self.folder / plan, order, self.table.entries, self.token_lengths)
        borders = cut_windows(
            self.table.entries["num_tokens"][order],
            self.config.seq_len,
            max_rows=self.config.shard_rows,
            stage_ends=stage_ends,
            num_epochs=num_epochs,
        )
        parts = []
        for number, (first, last) in enumerate(itertools.pairwise(borders.tolist())):
            window = Window(
                split, number, first, last, strategy, seed, self.header, self.table.id_files, plan
            )
            parts.append(Part(f"{split}.shard-{number:05d}", window))
        done = map_parts(
            self.engine, pack_window, parts, folder=self.folder, label=f"pack: {split}"
        )
        entries = [ShardEntry(**result["shard"]) for result in done]
        (self.folder / split).mkdir(parents=True, exist_ok=True)
        finish_rows(self.folder / split, self.header, entries)
        histogram: Counter[int] = Counter()
        for result in done:
            histogram.update({int(size): n for size, n in result["segment_lengths"].items()})
        return _Split(_total([result["stats"] for result in done], self.config.seq_len), histogram)


def _header(info: TokenizerInfo, shares: Shares, config: PackingConfig) -> RowsHeader:
    has_canaries = bool(config.canaries.copies)
    return RowsHeader(
        seq_len=config.seq_len,
        vocab_size=info.padded_vocab_size,
        pad_id=info.pad_id,
        bos_id=info.bos_id,
        eos_id=info.eos_id,
        tokenizer_digest=info.digest,
        sources=shares.sources + (CANARY_SOURCE,) * has_canaries,
        languages=shares.languages + (str(Language.KHM),) * has_canaries,
    )


def _total(stats: Sequence[Mapping[str, int]], seq_len: int) -> PackingStats:
    names = [field.name for field in fields(PackingStats) if field.name != "seq_len"]
    return PackingStats(seq_len, **{name: sum(one[name] for one in stats) for name in names})


def _check_nothing_lost(stats: PackingStats, num_tokens: int, where: Path) -> None:
    if stats.num_tokens != num_tokens:
        raise DataError(
            f"{where}: {num_tokens} tokens went in and {stats.num_tokens} came out of packing; this is a defect "
            "of the program, please report it"
        )


def _report(
    results: Mapping[str, _Split],
    sources: Mapping[str, Mapping[str, Any]],
    header: RowsHeader,
    config: PackingConfig,
    run: RunPlan,
) -> PackReport:
    train = results[TRAIN].stats
    languages: Counter[str] = Counter()
    for entry in sources.values():
        languages[entry["lang"]] += entry["share"]
    return PackReport(
        seq_len=header.seq_len,
        strategy=config.strategy,
        vocab_size=header.vocab_size,
        num_tokens=train.num_tokens,
        num_rows=train.num_rows,
        fill_frac=train.fill_frac,
        splits={name: _numbers(split.stats) for name, split in results.items()},
        sources=sources,
        languages=dict(languages),
        position_coverage=position_coverage(results[TRAIN].histogram),
        shortfalls=run.shortfalls,
        num_canary_tokens=run.num_canary_tokens,
    )


def _numbers(stats: PackingStats) -> dict[str, float]:
    numbers = {field.name: getattr(stats, field.name) for field in fields(stats)}
    return numbers | {
        "fill_frac": stats.fill_frac,
        "segments_per_row": stats.segments_per_row,
    }


def _sources(run: RunPlan, shares: Shares, table: DocumentTable) -> dict[str, dict[str, Any]]:
    """Return what each source gives to the run, and its target."""
    total = max(1, sum(run.realised.values()))
    training = table.entries[~table.entries["held_out"]]
    num_documents, num_bytes, available = (
        np.bincount(training["source"], weights, minlength=len(shares.sources)).astype(np.int64)
        for weights in (None, training["num_bytes"], training["num_tokens"])
    )
    found = {}
    for place, name in enumerate(shares.sources):
        num_tokens = run.realised[name]
        epochs = num_tokens / max(1, int(available[place]))
        found[name] = {
            "lang": shares.languages[place],
            "num_documents": int(num_documents[place]),
            "num_bytes": int(num_bytes[place]),
            "available_tokens": int(available[place]),
            "num_tokens": num_tokens,
            "epochs": epochs,
            "share": num_tokens / total,
            "target_share": shares.shares[name],
            "effective_tokens": effective_tokens(int(available[place]), epochs),
        }
    return found


STAGE = Stage(
    "packed_shards",
    version=f"3+packing{PACKING_VERSION}",
    make=pack,
    fields={"config": Fields("packing")},
    reads={
        "mixture": whole("training_mixture"),
        "mixed": every_dump("mixture_documents", of=mixed_sources),
        "tokens": every_dump("tokenized_documents_of_dump", of=mixed_sources),
        "tokenizer": whole("tokenizer"),
    },
)
