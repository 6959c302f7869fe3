"""The chain over dumps: each one is decided after those before it, and only if they changed.

    dump 1 ──▶ decisions ──▶ dump 2 ──▶ decisions ──▶ ...      fingerprint k = H(fingerprint k-1, signatures k)

Every link is an artifact of its own. A new dump adds a link; a changed dump k makes links k onward again; a
reverted one finds all of them finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tonsai_pipeline.dedup.exact import NO_TWIN
from tonsai_pipeline.dedup.greedy import DROPPED, KEPT, Decisions, follow
from tonsai_pipeline.dedup.shingles import SHINGLE_VERSION
from tonsai_pipeline.dedup.verify import Measure
from tonsai_pipeline.engine import Engine
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.stages.deduplicate.corpus import PlacedDump, locate, place
from tonsai_pipeline.stages.deduplicate.index import INDEX_VERSION, build_index
from tonsai_pipeline.stages.deduplicate.join import join_bands, join_exact
from tonsai_pipeline.stages.deduplicate.rounds import RoundCounts, Verification, decide
from tonsai_pipeline.stages.deduplicate.summary import Summary, summarize
from tonsai_pipeline.stages.deduplicate.tables import write_tables
from tonsai_pipeline.stages.sign import scheme_of
from tonsai_pipeline.storage.files import write_json
from tonsai_pipeline.storage.runs import load_array, save_array
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.text.dedup_key import DEDUP_KEY_VERSION

#: Version of the whole: index, joins, rounds, tables.
STAGE_VERSION = f"1+index{INDEX_VERSION}+shingles{SHINGLE_VERSION}+key{DEDUP_KEY_VERSION}"

INDEX_ASSET = "deduplicated_documents.index"
KEEP_ASSET = "deduplicated_documents.keep"


@dataclass(frozen=True)
class DeduplicateReport(Summary):
    """What deduplication did to the corpus; see `Summary` for the fields."""


def deduplicate(
    signatures: Mapping[str, Artifact],
    normalized: Mapping[str, Artifact],
    folder: Path,
    *,
    config: DedupConfig,
    engine: Engine,
    store: Store,
) -> DeduplicateReport:
    """Decide which documents of the corpus stay.

    Args:
        signatures: minhash_signatures by dump, in catalog order.
        normalized: normalized_documents of the same dumps.
        folder: The building folder; gets `dumps.json` and `groups.parquet`.
        config: The recipe's `dedup` section.
        engine: Where parts are processed.
        store: Where the artifact of each dump is kept.

    Raises:
        DataError: Signatures do not match the normalized parts, or were made by another scheme.
    """
    placed: list[PlacedDump] = []
    links: dict[str, Artifact] = {}
    previous = "start"
    base = 0
    for key in dump_order(list(signatures), config):
        dump = place(key, normalized[key], signatures[key], base=base)
        if config.enabled:
            index = _index(dump, signatures[key], config, engine=engine, store=store)
            dump = replace(dump, index=index.path)
        placed.append(dump)
        inputs = {
            "previous": previous,
            "minhash_signatures": signatures[key].data_version,
            "normalized_documents": normalized[key].data_version,
        }
        link = _decide_dump(tuple(placed), inputs, config, engine=engine, store=store)
        placed[-1] = replace(placed[-1], decisions=link.path)
        links[key] = link
        previous = link.manifest.fingerprint
        base += dump.num_docs
    catalog = {
        key: {
            "path": store.relative(links[key]),
            "data_version": links[key].data_version,
            **links[key].report,
        }
        for key in signatures
    }
    write_json(folder / "dumps.json", catalog)
    summary = summarize(tuple(placed), links, folder, config=config, engine=engine)
    return DeduplicateReport(**asdict(summary))


def dump_order(keys: list[str], config: DedupConfig) -> list[str]:
    """Return the dumps in the order in which they are decided: who comes first, stays.

    Args:
        keys: Dump keys `<source>@<date>` in catalog order.
        config: The recipe's `dedup` section.
    """
    ranks = {source: rank for rank, source in enumerate(config.prefer_sources)}
    return sorted(keys, key=lambda key: ranks.get(key.split("@")[0], len(ranks)))


def _index(
    dump: PlacedDump, signatures: Artifact, config: DedupConfig, *, engine: Engine, store: Store
) -> Artifact:
    """Return the dump's sorted runs."""
    scheme = scheme_of(config.signatures)
    return store.materialize(
        INDEX_ASSET,
        dump.key,
        lambda folder: build_index(
            signatures.path,
            dump.part_names,
            folder,
            scheme=scheme,
            num_bands=config.num_bands,
            rows_per_band=config.rows_per_band,
            engine=engine,
        ),
        stage_version=INDEX_VERSION,
        settings={
            "num_bands": config.num_bands,
            "rows_per_band": config.rows_per_band,
            "scheme_id": scheme.scheme_id,
        },
        inputs={"minhash_signatures": signatures.data_version},
    )


def _decide_dump(
    dumps: tuple[PlacedDump, ...],
    inputs: Mapping[str, str],
    config: DedupConfig,
    *,
    engine: Engine,
    store: Store,
) -> Artifact:
    """Return the last dump's link of the chain."""
    return store.materialize(
        KEEP_ASSET,
        dumps[-1].key,
        lambda folder: _make_link(dumps, folder, config, engine),
        stage_version=STAGE_VERSION,
        settings={
            "enabled": config.enabled,
            "num_bands": config.num_bands,
            "rows_per_band": config.rows_per_band,
            "scheme_id": scheme_of(config.signatures).scheme_id,
            "min_similarity": config.min_similarity,
            "measure": config.measure,
        },
        inputs=inputs,
    )


def _make_link(
    dumps: tuple[PlacedDump, ...], folder: Path, config: DedupConfig, engine: Engine
) -> dict[str, Any]:
    """Decide one dump and write its tables."""
    num_docs = dumps[-1].num_docs
    decisions, counts = Decisions.start(num_docs), RoundCounts(0, 0, 0)
    firsts = np.full(num_docs, NO_TWIN, np.int64)
    if config.enabled and num_docs:
        firsts = join_exact(dumps, folder, engine=engine)
        decisions.status[firsts != NO_TWIN] = DROPPED
        ranges = join_bands(dumps, firsts, folder, num_bands=config.num_bands, engine=engine)
        verification = Verification(
            scheme_of(config.signatures), config.min_similarity, Measure(config.measure)
        )
        decisions, counts = decide(
            dumps, ranges, decisions, folder, verification=verification, engine=engine
        )
        decisions = _follow_copies(dumps, decisions, firsts)
    is_copy = (decisions.status == DROPPED) & (decisions.twins == firsts)
    save_array(folder / "twins.npy", decisions.twins)
    save_array(folder / "similarity.npy", decisions.similarity.astype(np.float32))
    save_array(folder / "is_copy.npy", is_copy)
    tables = write_tables(dumps, decisions.twins, folder, engine=engine)
    dropped_frac = 1.0 - tables["num_kept"] / num_docs if num_docs else 0.0
    return {"num_documents": num_docs, "dropped_frac": dropped_frac, **tables, **asdict(counts)}


def _follow_copies(
    dumps: tuple[PlacedDump, ...], decisions: Decisions, firsts: np.ndarray
) -> Decisions:
    """Look up what became of the copied documents of earlier dumps, and apply it to the copies."""
    base = dumps[-1].base
    copied = np.unique(firsts[(firsts != NO_TWIN) & (firsts < base)])
    known = Decisions.start(len(copied))
    dump_of = locate(dumps, copied).dump
    for index in np.unique(dump_of):
        chosen = dump_of == index
        rows = copied[chosen] - dumps[index].base
        folder = dumps[index].decisions
        assert folder is not None, "earlier dumps are decided"
        known.twins[chosen] = load_array(folder / "twins.npy", mapped=True)[rows]
        known.similarity[chosen] = load_array(folder / "similarity.npy", mapped=True)[rows]
    known.status[:] = np.where(known.twins == NO_TWIN, KEPT, DROPPED)
    return follow(decisions, firsts, known, copied, base=base)
