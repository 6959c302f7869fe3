"""The chain over dumps: each one is decided after those before it, and only if they changed.

    dump 1 ──▶ decisions ──▶ dump 2 ──▶ decisions ──▶ ...      fingerprint k = H(fingerprint k-1, inputs k)

Every link is an artifact of its own. A new dump adds a link; a changed dump k makes links k onward again; a
reverted one finds all of them finished. With the policy `best_quality` there is no chain: the corpus is decided
at once (`ranking.py`), and every link is made from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tonsai_pipeline.dedup.shingles import SHINGLE_VERSION
from tonsai_pipeline.engine import Engine
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.stages.deduplicate import contamination, ranking
from tonsai_pipeline.stages.deduplicate.corpus import PlacedDump, Scope, place
from tonsai_pipeline.stages.deduplicate.decide import decide_scope
from tonsai_pipeline.stages.deduplicate.index import INDEX_VERSION, build_index
from tonsai_pipeline.stages.deduplicate.repetition import drop_repetitive
from tonsai_pipeline.stages.deduplicate.summary import Summary, summarize
from tonsai_pipeline.stages.deduplicate.tables import write_tables
from tonsai_pipeline.stages.sign import scheme_of
from tonsai_pipeline.storage.files import write_json
from tonsai_pipeline.storage.runs import save_array
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.text.dedup_key import DEDUP_KEY_VERSION

#: Version of the whole: index, joins, rounds, tables.
STAGE_VERSION = f"3+index{INDEX_VERSION}+shingles{SHINGLE_VERSION}+key{DEDUP_KEY_VERSION}"

INDEX_ASSET = "deduplicated_documents.index"
DECIDED_ASSET = "deduplicated_documents.decided"
KEEP_ASSET = "deduplicated_documents.keep"

_NUM_EXAMPLES = 20


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
        DataError: Signatures do not match the normalized parts, or were made by another scheme; an
            evaluation set cannot be read.
    """
    run = _Run(config, engine, store)
    dumps = run.prepare(signatures, normalized)
    dumps, links = run.by_quality(dumps) if config.policy == "best_quality" else run.chain(dumps)
    final = links
    if config.repetition.enabled:
        final = drop_repetitive(dumps, links, config.repetition, engine=engine, store=store)
    catalog = {
        key: {
            "path": store.relative(final[key]),
            "data_version": final[key].data_version,
            **final[key].report,
        }
        for key in signatures
    }
    write_json(folder / "dumps.json", catalog)
    summary = summarize(
        dumps,
        final,
        folder,
        num_pairs=run.num_pairs,
        contamination=run.contamination(),
        config=config,
        engine=engine,
    )
    return DeduplicateReport(**asdict(summary))


def dump_order(keys: list[str], config: DedupConfig) -> list[str]:
    """Return the dumps in the order in which they are decided: who comes first, stays.

    Args:
        keys: Dump keys `<source>@<date>` in catalog order.
        config: The recipe's `dedup` section.
    """
    ranks = {source: rank for rank, source in enumerate(config.prefer_sources)}
    return sorted(keys, key=lambda key: ranks.get(key.split("@")[0], len(ranks)))


class _Run:
    """What all steps of one call share: settings, engine, store, and the artifacts of every dump."""

    def __init__(self, config: DedupConfig, engine: Engine, store: Store) -> None:
        self._config, self._engine, self._store = config, engine, store
        self._inputs: dict[str, dict[str, str]] = {}
        self._normalized: Mapping[str, Artifact] = {}
        self._evaluation: Artifact | None = None
        self._contaminated: dict[str, Artifact] = {}
        self.num_pairs = 0

    def prepare(
        self, signatures: Mapping[str, Artifact], normalized: Mapping[str, Artifact]
    ) -> tuple[PlacedDump, ...]:
        """Number all documents, in the order of the policy, and make what each dump needs by itself."""
        self._normalized = normalized
        decontaminate = self._config.decontaminate
        if decontaminate.evaluation_sets:
            self._evaluation = contamination.make_evaluation_index(decontaminate, store=self._store)
        placed: list[PlacedDump] = []
        base = 0
        for key in dump_order(list(signatures), self._config):
            dump = place(key, normalized[key], signatures[key], base=base)
            if self._config.enabled:
                dump = replace(dump, index=self._index(dump, signatures[key]).path)
            placed.append(dump)
            self._inputs[key] = {
                "minhash_signatures": signatures[key].data_version,
                "normalized_documents": normalized[key].data_version,
            }
            if self._evaluation is not None:
                found = contamination.find_contaminated(
                    key, normalized[key], self._evaluation, decontaminate,
                    engine=self._engine, store=self._store,
                )  # fmt: skip
                self._contaminated[key] = found
                self._inputs[key]["contaminated"] = found.data_version
            base += dump.num_docs
        return tuple(placed)

    def chain(
        self, dumps: tuple[PlacedDump, ...]
    ) -> tuple[tuple[PlacedDump, ...], dict[str, Artifact]]:
        """Decide dump after dump; return the dumps with their decisions, and the links."""
        decided: list[PlacedDump] = []
        links: dict[str, Artifact] = {}
        previous = "start"
        for dump in dumps:
            so_far = (*decided, dump)
            links[dump.key] = self._store.materialize(
                KEEP_ASSET,
                dump.key,
                lambda folder, so_far=so_far: self._make_link(so_far, folder),
                stage_version=STAGE_VERSION,
                settings=self._settings(),
                inputs={"previous": previous, **self._inputs[dump.key]},
            )
            decided.append(replace(dump, decisions=links[dump.key].path))
            previous = links[dump.key].manifest.fingerprint
            self.num_pairs += links[dump.key].report["num_pairs"]
        return tuple(decided), links

    def by_quality(
        self, dumps: tuple[PlacedDump, ...]
    ) -> tuple[tuple[PlacedDump, ...], dict[str, Artifact]]:
        """Decide all dumps at once; return the same as `chain`."""
        quality = {
            dump.key: ranking.measure_quality(
                dump, self._normalized[dump.key], engine=self._engine, store=self._store
            )
            for dump in dumps
        }
        inputs = {
            f"{key}/{name}": version
            for key, versions in self._inputs.items()
            for name, version in {**versions, "quality": quality[key].data_version}.items()
        }
        overlaps = np.concatenate([np.zeros(0), *(self._overlaps(dump) for dump in dumps)])
        decided = self._store.materialize(
            DECIDED_ASSET,
            None,
            lambda folder: ranking.decide_ranked(
                dumps, quality, overlaps, folder, config=self._config, engine=self._engine
            ),
            stage_version=f"{STAGE_VERSION}+quality{ranking.QUALITY_VERSION}",
            settings=self._settings(),
            inputs=inputs,
        )
        self.num_pairs = decided.report["num_pairs"]
        links = {dump.key: self._link_of(dump, dumps, decided) for dump in dumps}
        return tuple(replace(dump, decisions=links[dump.key].path) for dump in dumps), links

    def contamination(self) -> dict[str, Any]:
        """Report what decontamination found; empty if no evaluation set is named."""
        if self._evaluation is None:
            return {}
        return contamination.contamination_report(
            self._evaluation, self._contaminated, num_examples=_NUM_EXAMPLES
        )

    def _settings(self) -> dict[str, Any]:
        """Return what decides a link beside its inputs."""
        config = self._config
        return {
            "enabled": config.enabled,
            "num_bands": config.num_bands,
            "rows_per_band": config.rows_per_band,
            "scheme_id": scheme_of(config.signatures).scheme_id,
            "min_similarity": config.min_similarity,
            "measure": config.measure,
        }

    def _index(self, dump: PlacedDump, signatures: Artifact) -> Artifact:
        """Return the dump's sorted runs."""
        config, scheme = self._config, scheme_of(self._config.signatures)
        bands = {"num_bands": config.num_bands, "rows_per_band": config.rows_per_band}
        return self._store.materialize(
            INDEX_ASSET,
            dump.key,
            lambda folder: build_index(
                signatures.path,
                dump.part_names,
                folder,
                scheme=scheme,
                engine=self._engine,
                **bands,
            ),
            stage_version=INDEX_VERSION,
            settings={**bands, "scheme_id": scheme.scheme_id},
            inputs={"minhash_signatures": signatures.data_version},
        )

    def _overlaps(self, dump: PlacedDump) -> np.ndarray:
        """Return the overlap of every document with the evaluation sets, 0 for the clean ones."""
        overlaps = np.zeros(dump.num_docs)
        if dump.key in self._contaminated:
            rows, fracs = contamination.contaminated_rows(self._contaminated[dump.key], dump.starts)
            overlaps[rows] = fracs
        return overlaps

    def _make_link(self, dumps: tuple[PlacedDump, ...], folder: Path) -> dict[str, Any]:
        """Decide the last dump and write its tables."""
        overlaps = self._overlaps(dumps[-1])
        verdict = decide_scope(
            Scope(dumps), overlaps, folder, config=self._config, engine=self._engine
        )
        arrays = (verdict.twins, verdict.similarity, verdict.is_copy)
        return {
            **self._write_link(dumps, dumps[-1], arrays, folder),
            **asdict(verdict.counts),
        }

    def _link_of(
        self, dump: PlacedDump, dumps: tuple[PlacedDump, ...], decided: Artifact
    ) -> Artifact:
        """Return the tables of one dump of a corpus that was decided at once."""

        def make(folder: Path) -> dict[str, Any]:
            return self._write_link(dumps, dump, ranking.load_ranked(decided, dump.key), folder)

        return self._store.materialize(
            KEEP_ASSET,
            dump.key,
            make,
            stage_version=STAGE_VERSION,
            settings=self._settings(),
            inputs={"decided": decided.data_version, **self._inputs[dump.key]},
        )

    def _write_link(
        self,
        dumps: tuple[PlacedDump, ...],
        dump: PlacedDump,
        arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
        folder: Path,
    ) -> dict[str, Any]:
        """Write the arrays and tables of one dump."""
        twins, similarity, is_copy = arrays
        save_array(folder / "twins.npy", twins)
        save_array(folder / "similarity.npy", similarity.astype(np.float32))
        save_array(folder / "is_copy.npy", is_copy)
        found = self._contaminated.get(dump.key)
        tables = write_tables(
            dumps,
            dump,
            twins,
            folder,
            contaminated=None if found is None else found.path,
            engine=self._engine,
        )
        dropped_frac = 1.0 - tables["num_kept"] / dump.num_docs if dump.num_docs else 0.0
        return {"num_documents": dump.num_docs, "dropped_frac": dropped_frac, **tables}
