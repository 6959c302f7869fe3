"""scored_documents -> training_mixture: who may be trained on, who is held out, and the target shares.

    dump ──kept documents, split, repeats──▶ part-*.parquet       one artifact a dump, cached for itself
    all  ──languages, weights, sizes───────▶ shares.json

No text is read and none is written: a mixture is pointers and numbers. Shares are of tokens of the final
tokenizer and are realised when tokens are packed; what stands here in tokens is an estimate from bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.lineage import Fields, Stage, Table, every_dump, same_dump
from tonsai_pipeline.mixture.shares import document_repeats
from tonsai_pipeline.mixture.split import held_out
from tonsai_pipeline.quality.pii import PII_VERSION
from tonsai_pipeline.recipe.mixture import MixtureConfig
from tonsai_pipeline.recipe.sources import Source
from tonsai_pipeline.schema import MIXTURE_DOCUMENTS, DumpKey, Split
from tonsai_pipeline.stages.mix import groups, texts
from tonsai_pipeline.stages.mix.groups import Sizes, group_sizes, read_borders, read_group_sizes
from tonsai_pipeline.stages.mix.shares import mixed_sources, plan_shares
from tonsai_pipeline.stages.mix.texts import MASK_NAME, SHARES_NAME
from tonsai_pipeline.storage.documents import is_converted, read_part, write_part
from tonsai_pipeline.storage.files import write_json
from tonsai_pipeline.storage.store import Artifact


@dataclass(frozen=True)
class MixReport:
    """What the mixture holds.

    Args:
        num_documents: Documents to train on.
        num_validation: Documents held out, by language.
        num_bytes: Their text to train on, UTF-8.
        estimated_total_tokens: Length of the run, estimated from bytes.
        by_source: For each source: `lang`, documents and bytes to train on, documents held out, target share,
            and estimates: tokens of one pass, tokens in the run, epochs, effective tokens, share.
        warnings: What a person should look at: repeats above four, sources that give less than their share.
        shortfalls: Sources that will give no token and languages that will miss their share, with what would be
            feasible; estimated from bytes.
    """

    num_documents: int
    num_validation: Mapping[str, int]
    num_bytes: int
    estimated_total_tokens: int
    by_source: Mapping[str, Any]
    warnings: list[str]
    shortfalls: list[str]


def mix_dump(
    normalized: Artifact,
    scored: Artifact,
    signatures: Artifact,
    rules: Artifact,
    folder: Path,
    *,
    source: Source,
    config: MixtureConfig,
    mask: Sequence[str],
    engine: Engine,
) -> dict[str, int]:
    """Choose the documents of a dump that are trained on, and those that are held out.

    Args:
        normalized: The dump's normalized documents: which of them were converted from a legacy font.
        scored: Its scored documents.
        signatures: Its minhash_signatures: the exact keys of its texts.
        rules: What the corpus says about the dump.
        folder: The building folder.
        source: The dump's source, with its language and the weight of converted documents.
        config: Of the recipe's `mixture` section: split, buckets, rehydration.
        mask: Kinds of personal data (the recipe's `quality.mask`) that whoever reads the texts through this mixture
            finds replaced by placeholders.
        engine: Where parts are processed.
    """
    if mask:
        write_json(folder / MASK_NAME, {"kinds": sorted(mask), "version": PII_VERSION})
    settings = _MixSettings(
        source.lang,
        config.validation.frac,
        config.seed,
        read_borders(rules),
        config.bucket_repeats,
        config.rehydrate,
        source.converted_weight,
    )
    sizes = read_group_sizes(rules)
    parts = [
        Part(
            path.stem,
            _MixTask(
                path,
                normalized.path / path.name,
                signatures.path / path.name,
                settings,
                sizes.get(path.name),
            ),
        )
        for path in scored.parts()
    ]
    found = map_parts(engine, _mix_part, parts, folder=folder, label=f"mix {source.name}")
    names = ("num_train", "num_bytes", "num_validation", "num_left_out")
    return {name: sum(f[name] for f in found) for name in names}


def mix(
    mixed: Mapping[DumpKey, Artifact],
    folder: Path,
    *,
    sources: Sequence[Source],
    config: MixtureConfig,
    engine: Engine,
) -> MixReport:
    """Write down the shares.

    Args:
        mixed: The chosen documents by dump.
        folder: The building folder; gets `shares.json`.
        sources: The recipe's sources, with their weights and languages.
        config: The recipe's `mixture` section.
        engine: Not used: counts are small.

    Raises:
        DataError: A language with a share has no documents, or the run is longer than the text allows; the
            message says what would be feasible.
    """
    del engine
    totals: dict[str, Counter[str]] = {}
    for key, dump in mixed.items():
        totals.setdefault(key.source, Counter()).update(dump.report)
    planned = plan_shares(totals, sources, config)
    write_json(folder / SHARES_NAME, planned.shares)
    num_held_out: Counter[str] = Counter()
    for entry in planned.by_source.values():
        num_held_out[entry["lang"]] += entry["num_validation"]
    return MixReport(
        num_documents=sum(total["num_train"] for total in totals.values()),
        num_validation=dict(num_held_out),
        num_bytes=sum(total["num_bytes"] for total in totals.values()),
        estimated_total_tokens=planned.total_tokens,
        by_source=planned.by_source,
        warnings=planned.warnings,
        shortfalls=planned.shortfalls,
    )


@dataclass(frozen=True)
class _MixSettings:
    """What decides about the documents of one dump."""

    language: str
    held_out_frac: float
    seed: int
    borders: Mapping[str, Sequence[float]]
    bucket_repeats: Sequence[float]
    rehydrate: Mapping[int, float]
    converted_weight: float


@dataclass(frozen=True)
class _MixTask:
    scored: Path
    normalized: Path
    signatures: Path
    settings: _MixSettings
    groups: Sizes | None


def _mix_part(task: _MixTask, folder: Path) -> dict[str, Any]:
    """Write the pointers of one part."""
    settings = task.settings
    table = read_part(task.scored)
    kept = table.filter(table.column("drop_reason").is_null())
    keys = read_part(task.signatures, ["exact_high", "exact_low"]).take(kept.column("row_in_part"))
    exact = np.stack([keys.column(name).to_numpy() for name in keys.column_names], axis=1)
    is_held_out = held_out(exact, frac=settings.held_out_frac, seed=settings.seed)
    weights = _converted_weights(task.normalized, kept, settings.converted_weight)
    repeats = _repeats(kept, group_sizes(task.groups, kept), settings) * weights
    table = pa.table(
        {
            **{name: kept.column(name) for name in ("doc_id", "row_in_part", "source")},
            "lang": pa.array([settings.language] * kept.num_rows, pa.string()),
            "num_bytes": kept.column("num_bytes"),
            "score": kept.column("score"),
            "split": pa.array(
                np.where(is_held_out, Split.VALIDATION, Split.TRAIN).tolist(), pa.string()
            ),
            "repeats": pa.array(np.where(is_held_out, 1.0, repeats), pa.float32()),
        }
    )
    stays = (is_held_out & (weights > 0)) | (repeats > 0)
    table = table.filter(pa.array(stays))
    write_part(folder / task.scored.name, [table], MIXTURE_DOCUMENTS)
    train = stays & ~is_held_out
    return {
        "num_train": int(train.sum()),
        "num_bytes": int(kept.column("num_bytes").to_numpy()[train].sum()),
        "num_validation": int((stays & is_held_out).sum()),
        "num_left_out": int((~stays).sum()),
    }


def _converted_weights(normalized: Path, kept: pa.Table, weight: float) -> npt.NDArray[np.float32]:
    """Return `weight` for the documents converted from a legacy font, which say so in `meta`, and 1 for the others."""
    if weight == 1:
        return np.ones(kept.num_rows, dtype=np.float32)
    meta = read_part(normalized, ["meta"]).column("meta").take(kept.column("row_in_part"))
    converted = [is_converted(text) for text in meta.to_pylist()]
    return np.where(converted, np.float32(weight), np.float32(1))


def _repeats(
    kept: pa.Table, group_sizes: npt.NDArray[np.int32], settings: _MixSettings
) -> npt.NDArray[np.float32]:
    """Return the repeats of a part's documents, each by the buckets of the language it is written in."""
    written = np.array(kept.column("lang").to_pylist(), dtype=object)
    repeats = np.ones(kept.num_rows, dtype=np.float32)
    for language, spoken in (("khm", ("khm", "mixed")), ("eng", ("eng", "other"))):
        rows = np.flatnonzero(np.isin(written, spoken))
        has_borders = len(settings.bucket_repeats) == 1 or language in settings.borders
        repeats[rows] = document_repeats(
            kept.column("score").to_numpy()[rows],
            group_sizes[rows],
            borders=settings.borders.get(language, ()),
            bucket_repeats=settings.bucket_repeats if has_borders else (),
            rehydrate=settings.rehydrate,
        )
    return repeats


DUMP = Stage(
    "mixture_documents",
    version=f"4+pii{PII_VERSION}",
    make=mix_dump,
    each_dump=True,
    part_of="training_mixture",
    fields={
        "source": Fields("source", only=("name", "lang", "converted_weight")),
        "config": Fields("mixture", only=("validation", "seed", "bucket_repeats", "rehydrate")),
        "mask": Fields("quality.mask"),
    },
    reads={
        "normalized": same_dump("normalized_documents"),
        "scored": same_dump("scored_documents_of_dump"),
        "signatures": same_dump("minhash_signatures"),
        "rules": same_dump("mixture_rules"),
    },
    table=Table(
        MIXTURE_DOCUMENTS,
        same="scored",
        made_from={
            "lang": (),  # that of the source
            "split": ("signatures.exact_high", "signatures.exact_low"),
            "repeats": ("scored.score", "scored.group_size"),
        },
    ),
)

STAGE = Stage(
    "training_mixture",
    version="4",
    make=mix,
    fields={
        "sources": Fields("sources", only=("name", "lang", "weight")),
        "config": Fields("mixture", without=("validation", "bucket_repeats", "rehydrate")),
    },
    reads={"mixed": every_dump("mixture_documents", of=mixed_sources)},
)

STAGES = (groups.STAGE, DUMP, STAGE, texts.CHOSEN)
