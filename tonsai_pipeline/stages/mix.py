"""scored_documents -> training_mixture: who may be trained on, who is held out, and the wished shares.

    dump ──kept documents, split, repeats──▶ part-*.parquet       one artifact a dump, cached for itself
    all  ──languages, weights, sizes───────▶ shares.json, dumps.json

No text is read and none is written: a mixture is pointers and numbers. Shares are of tokens of the final
tokenizer and are realised when tokens are packed; what stands here in tokens is an estimate from bytes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.mixture.shares import document_repeats
from tonsai_pipeline.mixture.split import hash_ids, smallest, split_border
from tonsai_pipeline.quality.evaluation import quantile_borders
from tonsai_pipeline.quality.pii import PII_VERSION
from tonsai_pipeline.recipe.mixture import MixtureConfig
from tonsai_pipeline.recipe.sources import Source
from tonsai_pipeline.schema import MIXTURE_DOCUMENTS, Split
from tonsai_pipeline.stages.mix_groups import GroupSizes, Sizes, group_sizes, read_group_sizes
from tonsai_pipeline.stages.mix_shares import plan_shares, wanted_sources
from tonsai_pipeline.stages.mixture_texts import MASK_NAME
from tonsai_pipeline.storage.documents import read_part, write_part
from tonsai_pipeline.storage.files import read_json, write_json
from tonsai_pipeline.storage.store import Artifact, Store

STAGE_VERSION = f"2+pii{PII_VERSION}"
DUMP_ASSET = "training_mixture.dump"
SURVEY_ASSET = "training_mixture.survey"


@dataclass(frozen=True)
class MixReport:
    """What the mixture holds.

    Args:
        num_documents: Documents to train on.
        num_validation: Documents held out, by language.
        num_bytes: Their text to train on, UTF-8.
        estimated_total_tokens: Length of the run, estimated from bytes.
        by_source: For each source: `lang`, documents and bytes to train on, documents held out, wished share,
            and estimates: tokens of one pass, tokens in the run, epochs, effective tokens, share.
        warnings: What a person should look at: repeats above four, sources that give less than wished.
    """

    num_documents: int
    num_validation: Mapping[str, int]
    num_bytes: int
    estimated_total_tokens: int
    by_source: Mapping[str, Any]
    warnings: list[str]


def mix(
    scored: Artifact,
    folder: Path,
    *,
    sources: Sequence[Source],
    config: MixtureConfig,
    engine: Engine,
    store: Store,
    mask: Sequence[str] = (),
) -> MixReport:
    """Choose the documents to train on and write down the shares.

    Args:
        scored: scored_documents.
        folder: The building folder; gets `dumps.json` and `shares.json`.
        sources: The recipe's sources, with their weights and languages.
        config: The recipe's `mixture` section.
        engine: Where parts are processed.
        store: Where the artifact of each dump is kept.
        mask: Kinds of personal data (the recipe's `quality.mask`) that whoever reads the texts through this mixture
            finds replaced by placeholders.

    Raises:
        DataError: A language with a share has no documents, or the run is longer than the text allows; the
            message says what would be feasible.
    """
    wanted = wanted_sources(sources, config)
    dumps = _scored_dumps(scored, sources, wanted, store)
    languages = {source.name: source.lang for source in wanted}
    surveys = {
        key: _survey(key, dump, config, engine=engine, store=store) for key, dump in dumps.items()
    }
    borders = _split_borders(surveys, languages, config)
    repeats = _repeat_rules(scored, config)
    groups = read_group_sizes(scored) if config.rehydrate else {}
    mixed = {}
    for key, dump in dumps.items():
        language = languages[key.split("@")[0]]
        settings = _MixSettings(
            language, borders[language], config.seed, mask=tuple(mask), **repeats
        )
        mixed[key] = _mix_dump(key, dump, settings, groups.get(key), engine=engine, store=store)
    return _report(mixed, sources, folder, config=config, store=store)


def _report(
    mixed: Mapping[str, Artifact],
    sources: Sequence[Source],
    folder: Path,
    *,
    config: MixtureConfig,
    store: Store,
) -> MixReport:
    """Write `dumps.json` and `shares.json` and sum up."""
    totals = _add_by_source(mixed)
    planned = plan_shares(totals, sources, config)
    catalog = {
        key: {"path": store.relative(dump), "data_version": dump.data_version, **dump.report}
        for key, dump in mixed.items()
    }
    write_json(folder / "shares.json", planned.shares)
    write_json(folder / "dumps.json", catalog)
    held_out: Counter[str] = Counter()
    for entry in planned.by_source.values():
        held_out[entry["lang"]] += entry["num_validation"]
    return MixReport(
        num_documents=sum(total["num_train"] for total in totals.values()),
        num_validation=dict(held_out),
        num_bytes=sum(total["num_bytes"] for total in totals.values()),
        estimated_total_tokens=planned.total_tokens,
        by_source=planned.by_source,
        warnings=planned.warnings,
    )


def _add_by_source(mixed: Mapping[str, Artifact]) -> dict[str, Counter[str]]:
    totals: dict[str, Counter[str]] = {}
    for key, dump in mixed.items():
        totals.setdefault(key.split("@")[0], Counter()).update(
            {name: int(value) for name, value in dump.report.items()}
        )
    return totals


# --- dumps ------------------------------------------------------------------------------------


def _scored_dumps(
    scored: Artifact, sources: Sequence[Source], wanted: Sequence[Source], store: Store
) -> dict[str, Artifact]:
    """Open the scored dumps of the wanted sources, in their order and then by date."""
    entries = cast("dict[str, dict[str, Any]]", read_json(scored.path / "dumps.json"))
    known = {source.name for source in sources}
    unknown = sorted(key for key in entries if key.split("@")[0] not in known)
    if unknown:
        raise DataError(f"{scored.path}: {unknown[0]}: no such source in the recipe; score again")
    rank = {source.name: index for index, source in enumerate(wanted)}
    keys = [key for key in entries if key.split("@")[0] in rank]
    keys.sort(key=lambda key: (rank[key.split("@")[0]], key))
    return {key: store.resolve(entries[key]["path"]) for key in keys}


def _survey(
    key: str, dump: Artifact, config: MixtureConfig, *, engine: Engine, store: Store
) -> Mapping[str, Any]:
    """Count the kept documents of a dump and note the smallest hashes of their ids."""
    limit = config.validation.max_documents + 1

    def make(folder: Path) -> dict[str, Any]:
        parts = [Part(path.stem, (path, config.seed, limit)) for path in dump.parts()]
        found = map_parts(engine, _survey_part, parts, folder=folder, label=f"survey {key}")
        hashes = np.array([h for f in found for h in f["smallest"]], dtype=np.uint64)
        return {
            "num_documents": sum(f["num_documents"] for f in found),
            "smallest": [str(h) for h in smallest(hashes, limit)],
        }

    settings = {"seed": config.seed, "limit": limit}
    inputs = {"scored_documents": dump.data_version}
    survey = store.materialize(
        SURVEY_ASSET, key, make, stage_version=STAGE_VERSION, settings=settings, inputs=inputs
    )
    return survey.report


def _survey_part(payload: tuple[Path, int, int], folder: Path) -> dict[str, Any]:
    del folder
    path, seed, limit = payload
    kept = _kept(path, ["doc_id", "drop_reason"])
    hashes = hash_ids(kept.column("doc_id").to_pylist(), seed=seed)
    # As strings: JSON readers may not keep all 64 bits of a number.
    return {"num_documents": kept.num_rows, "smallest": [str(h) for h in smallest(hashes, limit)]}


def _split_borders(
    surveys: Mapping[str, Mapping[str, Any]], languages: Mapping[str, str], config: MixtureConfig
) -> dict[str, int]:
    """Return, by language, the hash below which a document is held out."""
    hashes: dict[str, list[int]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for key, survey in surveys.items():
        language = languages[key.split("@")[0]]
        hashes[language] += [int(h) for h in survey["smallest"]]
        counts[language] += survey["num_documents"]
    wish = config.validation
    return {
        language: split_border(
            np.sort(np.array(found, dtype=np.uint64)),
            counts[language],
            frac=wish.frac,
            min_documents=wish.min_documents,
            max_documents=wish.max_documents,
        )
        for language, found in hashes.items()
    }


def _repeat_rules(scored: Artifact, config: MixtureConfig) -> dict[str, Any]:
    """Return borders of the quality buckets by language, and the repeats they stand for."""
    histograms = cast("dict[str, list[int]]", read_json(scored.path / "histograms.json"))
    num_buckets = len(config.bucket_repeats)
    borders = {
        language: quantile_borders(histograms.get(f"{language}/kept", []), num_buckets)
        for language in ("khm", "eng")
        if num_buckets > 1 and histograms.get(f"{language}/kept")
    }
    return {
        "borders": borders,
        "bucket_repeats": config.bucket_repeats,
        "rehydrate": dict(config.rehydrate),
    }


@dataclass(frozen=True)
class _MixSettings:
    """What decides about the documents of one dump."""

    language: str
    split_border: int
    seed: int
    borders: Mapping[str, Sequence[float]]
    bucket_repeats: Sequence[float]
    rehydrate: Mapping[int, float]
    mask: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "language": self.language,
            "split_border": str(self.split_border),
            "seed": self.seed,
            "borders": {language: list(found) for language, found in self.borders.items()},
            "bucket_repeats": list(self.bucket_repeats),
            "rehydrate": {str(size): value for size, value in sorted(self.rehydrate.items())},
            "mask": sorted(self.mask),
        }


def _mix_dump(
    key: str,
    dump: Artifact,
    settings: _MixSettings,
    groups: GroupSizes | None,
    *,
    engine: Engine,
    store: Store,
) -> Artifact:
    def make(folder: Path) -> dict[str, Any]:
        if settings.mask:
            write_json(folder / MASK_NAME, {"kinds": sorted(settings.mask), "version": PII_VERSION})
        by_part = {} if groups is None else groups.by_part
        parts = [Part(path.stem, (path, settings, by_part.get(path.name))) for path in dump.parts()]
        found = map_parts(engine, _mix_part, parts, folder=folder, label=f"mix {key}")
        names = ("num_train", "num_bytes", "num_validation", "num_left_out")
        return {name: sum(f[name] for f in found) for name in names}

    return store.materialize(
        DUMP_ASSET,
        key,
        make,
        stage_version=STAGE_VERSION,
        settings=settings.as_json(),
        inputs={
            "scored_documents": dump.data_version,
            **({} if groups is None else {"groups": groups.digest}),
        },
    )


def _mix_part(payload: tuple[Path, _MixSettings, Sizes | None], folder: Path) -> dict[str, Any]:
    """Write the pointers of one part."""
    path, settings, groups = payload
    kept = _kept(path, None)
    hashes = hash_ids(kept.column("doc_id").to_pylist(), seed=settings.seed)
    held_out = hashes < np.uint64(min(settings.split_border, 2**64 - 1))
    repeats = _repeats(kept, group_sizes(groups, kept), settings)
    table = pa.table(
        {
            **{name: kept.column(name) for name in ("doc_id", "row_in_part", "source")},
            "lang": pa.array([settings.language] * kept.num_rows, pa.string()),
            "num_bytes": kept.column("num_bytes"),
            "score": kept.column("score"),
            "split": pa.array(
                np.where(held_out, Split.VALIDATION, Split.TRAIN).tolist(), pa.string()
            ),
            "repeats": pa.array(np.where(held_out, 1.0, repeats), pa.float32()),
        }
    )
    stays = held_out | (repeats > 0)
    table = table.filter(pa.array(stays))
    write_part(folder / path.name, [table], MIXTURE_DOCUMENTS)
    train = stays & ~held_out
    return {
        "num_train": int(train.sum()),
        "num_bytes": int(kept.column("num_bytes").to_numpy()[train].sum()),
        "num_validation": int(held_out.sum()),
        "num_left_out": int((~stays).sum()),
    }


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


def _kept(path: Path, columns: list[str] | None) -> pa.Table:
    table = read_part(path, columns)
    return table.filter(table.column("drop_reason").is_null())
