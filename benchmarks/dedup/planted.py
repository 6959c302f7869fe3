"""The generated dumps through the stages -> what became of every planted copy."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.builders import build, open_in, read_table
from tonsai_pipeline.dedup.lsh import collision_probability
from tonsai_pipeline.recipe import load_recipe
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.stages.ingest.chunks import File
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.synthetic.dumps import write_synthetic_dumps
from tonsai_pipeline.synthetic.truth import Kind, PlantedDocument, SyntheticTruth

_COPIES = (Kind.EXACT_COPY, Kind.WRONG_ENCODING, Kind.NEAR_COPY)
_EDGES = (0.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 1.001)


def measure(work: Path) -> dict:
    """Write the demo's dumps, run the stages, and look every planted copy up."""
    recipe = load_recipe("demo")
    truth = write_synthetic_dumps(Layout(work, recipe.name).inbox)
    builder = open_in(work, recipe)
    build(builder, builder.pipeline.up_to("deduplicated_documents"))
    rows = read_table(builder, "dedup_decisions", folder="dropped").to_pylist()
    dropped = {row["doc_id"]: row for row in rows}
    present = set(read_table(builder, "normalized_documents", "doc_id")["doc_id"].to_pylist())
    fates: dict = {}
    for kind in (Kind.EXACT_COPY, Kind.WRONG_ENCODING):
        pairs = _pairs(truth, kind, present)
        fates[kind.value] = {
            "num": len(pairs),
            "num_found": sum(_parted(*p, dropped) for _, *p in pairs),
        }
    near = [
        (j, _parted(one, other, dropped))
        for j, one, other in _pairs(truth, Kind.NEAR_COPY, present)
    ]
    copied = {one for kind in _COPIES for _, *pair in _pairs(truth, kind, present) for one in pair}
    return {
        "num_documents": len(present),
        **fates,
        "near_copy": _curve(near, recipe.dedup),
        "num_dropped_that_are_no_copies": len(dropped.keys() - copied),
        "num_dropped": len(dropped),
    }


def _pairs(truth: SyntheticTruth, kind: Kind, present: set[str]) -> list[tuple[float, str, str]]:
    """Return (likeness, copy, original) of every planted copy that stands in the corpus with its original."""
    found = [
        (document.jaccard, _doc_id(document), _doc_id(truth.original_of(document)))
        for document in truth.of_kind(kind)
    ]
    return [(j, one, other) for j, one, other in found if one in present and other in present]


def _parted(one: str, other: str, dropped: Mapping[str, Mapping[str, Any]]) -> bool:
    """Say whether at most one of two texts is left; dumps are decided by date, and a copy may come first.

    A text is left as long as an exact copy of it is: the one that its document was dropped for.
    """
    rows = [dropped.get(doc_id) for doc_id in (one, other)]
    if any(row is not None and row["reason"] == "near" for row in rows):
        return True
    left = [
        d if row is None else row["kept_doc_id"] for d, row in zip((one, other), rows, strict=True)
    ]
    return left[0] == left[1]


def _curve(near: list[tuple[float, bool]], config: DedupConfig) -> dict:
    """Return planted and found near copies by their true similarity, beside the chance of meeting in a band."""
    jaccard = np.array([value for value, _ in near])
    found = np.array([is_found for _, is_found in near])
    table = {}
    for low, high in itertools.pairwise(_EDGES):
        here = (jaccard >= low) & (jaccard < high)
        if here.any():
            chance = collision_probability(
                float(jaccard[here].mean()),
                num_bands=config.num_bands,
                rows_per_band=config.rows_per_band,
            )
            table[f"{low:.2f}-{min(high, 1):.2f}"] = {
                "num": int(here.sum()),
                "num_found": int(found[here].sum()),
                "chance_to_be_compared": chance,
            }
    return table


def _doc_id(document: PlantedDocument) -> str:
    return f"{document.dump}/{File(0, '', document.file).id}/{document.row}"
