"""Policy `best_quality`: the whole corpus ranked by quality, then decided at once, the best first.

    normalized part ──signals──▶ quality.npy, once per dump ──rank──▶ turns ──decide──▶ twins of every dump

The quality is what the signals of `quality/` say without a classifier: how far inside the default limits a page
is, less its share of clusters that no rule of spelling allows. It is known before anything is scored, and it
tells a clean page from the same page with its menus, or a text from its scan. Every new dump ranks the corpus
anew, so this policy is not append-stable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.quality.form import FORM_VERSION, form_score
from tonsai_pipeline.quality.signals import SIGNALS_VERSION, Signal, measure
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.stages.deduplicate.corpus import PlacedDump, Scope
from tonsai_pipeline.stages.deduplicate.decide import decide_scope
from tonsai_pipeline.storage.documents import read_batches
from tonsai_pipeline.storage.runs import load_array, save_array
from tonsai_pipeline.storage.store import Artifact, Store

QUALITY_ASSET = "deduplicated_documents.quality"
QUALITY_VERSION = f"1+signals{SIGNALS_VERSION}+form{FORM_VERSION}"

_COLUMNS = ("text", "num_clusters", "num_orphan_marks", "num_invalid_clusters")
_ARRAYS = ("twins", "similarity", "is_copy")


def measure_quality(
    dump: PlacedDump, normalized: Artifact, *, engine: Engine, store: Store
) -> Artifact:
    """Return the quality of every document of a dump: one array a part."""
    return store.materialize(
        QUALITY_ASSET,
        dump.key,
        lambda folder: _measure(normalized, folder, engine),
        stage_version=QUALITY_VERSION,
        settings={},
        inputs={"normalized_documents": normalized.data_version},
    )


def decide_ranked(
    dumps: tuple[PlacedDump, ...],
    quality: Mapping[str, Artifact],
    overlaps: np.ndarray,
    folder: Path,
    *,
    config: DedupConfig,
    engine: Engine,
) -> dict[str, Any]:
    """Rank the corpus and decide it; writes twins (ordinals), similarity and is_copy of each dump.

    Args:
        dumps: The corpus.
        quality: From `measure_quality`, by dump.
        overlaps: By ordinal; see `decide_scope`.
        folder: The building folder; gets `<dump>.<array>.npy`.
        config: The recipe's `dedup` section.
        engine: Where parts are processed.
    """
    ranking = folder / ".work" / "ranking"
    values = [
        load_array(quality[dump.key].path / f"{Path(name).stem}.npy")
        for dump in dumps
        for name in dump.part_names
    ]
    ordinals = rank(np.concatenate([np.zeros(0, np.float32), *values]))
    turns = np.empty_like(ordinals)
    turns[ordinals] = np.arange(len(ordinals))
    save_array(ranking / "ordinals.npy", ordinals)
    save_array(ranking / "turns.npy", turns)
    scope = Scope(dumps, num_current=len(dumps), ranking=ranking)
    verdict = decide_scope(scope, overlaps[ordinals], folder, config=config, engine=engine)
    twins = verdict.twins[turns]
    is_twin = twins >= 0
    twins[is_twin] = ordinals[twins[is_twin]]
    found = (twins, verdict.similarity[turns], verdict.is_copy[turns])
    for dump in dumps:
        here = slice(dump.base, dump.base + dump.num_docs)
        for name, array in zip(_ARRAYS, found, strict=True):
            save_array(folder / f"{dump.key}.{name}.npy", array[here])
    return asdict(verdict.counts)


def load_ranked(decided: Artifact, dump: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return twins, similarity and is_copy of a dump, as `decide_ranked` wrote them."""
    twins, similarity, is_copy = (
        load_array(decided.path / f"{dump}.{name}.npy") for name in _ARRAYS
    )
    return twins, similarity, is_copy


def rank(quality: np.ndarray) -> np.ndarray:
    """Return the ordinals of documents, the best first; equals in catalog order.

    Args:
        quality: By ordinal, float32, shape (num_docs,).

    Example:
        >>> rank(np.array([0.5, 0.9, 0.5], np.float32)).tolist()
        [1, 0, 2]
    """
    return np.argsort(-quality, kind="stable").astype(np.int64)


def _measure(normalized: Artifact, folder: Path, engine: Engine) -> dict[str, Any]:
    parts = [Part(path.stem, path) for path in normalized.parts()]
    results = map_parts(engine, _measure_part, parts, folder=folder, label="quality")
    return {"num_documents": sum(result["num_documents"] for result in results)}


def _measure_part(path: Path, folder: Path) -> dict[str, Any]:
    found = [np.zeros(0, np.float32)]
    for batch in read_batches(path, _COLUMNS):
        clusters, orphans, invalid = (batch.column(name).to_numpy() for name in _COLUMNS[1:])
        damage = np.minimum(1.0, (orphans + invalid) / np.maximum(1, clusters))
        signals = measure(batch.column("text"))
        # Of two copies of a page the one without menus around it is the better.
        bare = 1.0 - 0.5 * signals.of(Signal.short_line_frac)
        score = form_score(signals) * bare * (1.0 - damage)
        found.append(score.astype(np.float32))
    quality = np.concatenate(found)
    save_array(folder / f"{path.stem}.npy", quality)
    return {"num_documents": len(quality)}
