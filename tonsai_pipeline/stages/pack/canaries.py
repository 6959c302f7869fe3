"""Canaries -> documents of the run: planted among the others, so often each, and written down beside the rows.

    seed ──canary_texts──▶ texts ──encode──▶ ids ──at random places of the order──▶ RunPlan
                             └──▶ canaries.json, for whoever measures what the model remembers

They come in behind tokenizer training, duplicates and shares: no other stage knows them, and no text but these rows
has them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.metrics.canary import CANARIES_NAME, canary_texts
from tonsai_pipeline.recipe.packing import PackingConfig
from tonsai_pipeline.stages.pack.plan import ENTRY, DocumentTable, RunPlan
from tonsai_pipeline.storage.files import write_bytes, write_json
from tonsai_pipeline.tokenizer.encode import Encoder


def plant(
    table: DocumentTable,
    run: RunPlan,
    folder: Path,
    scratch: Path,
    *,
    config: PackingConfig,
    encoder: Encoder,
) -> tuple[DocumentTable, RunPlan]:
    """Add the canaries to the documents and to their order.

    Args:
        table: Every document of the mixture.
        run: The order in which they are read.
        folder: The building folder; gets `canaries.json`.
        scratch: Folder that the ids of the canaries go to.
        config: The recipe's `packing` section.
        encoder: Of the tokenizer in use.

    Raises:
        DataError: A canary is longer than a row.
    """
    canaries = config.canaries
    copies = np.repeat(canaries.copies, canaries.num_each)
    texts = canary_texts(len(copies), canaries.num_clusters, seed=canaries.seed)
    ids, sizes = encoder.encode(pa.array(texts, pa.large_string()))
    if sizes.max() > config.seq_len:
        raise DataError(
            f"{folder}: a canary of {canaries.num_clusters} clusters has {sizes.max()} tokens, and a row "
            f"{config.seq_len}; lower packing.canaries.num_clusters"
        )
    ids_path = scratch / "canaries.ids.bin"
    scratch.mkdir(parents=True, exist_ok=True)
    write_bytes(ids_path, ids.tobytes())
    entries = np.zeros(len(texts), dtype=ENTRY)
    # Behind the recipe's sources, as the header of the rows has them.
    entries["part"], entries["source"] = len(table.id_files), len(run.realised)
    entries["start"], entries["num_tokens"] = np.cumsum(sizes) - sizes, sizes
    entries["num_bytes"] = [len(text.encode()) for text in texts]
    numbers = np.repeat(np.arange(len(texts)) + len(table.entries), copies)
    generator = np.random.default_rng(canaries.seed)
    places = np.sort(generator.integers(0, len(run.order), len(numbers)))
    planted = replace(
        run,
        order=np.insert(run.order, places, generator.permutation(numbers)),
        num_canary_tokens=int((sizes * copies).sum()),
        stage_ends=tuple(end + int(np.searchsorted(places, end)) for end in run.stage_ends),
    )
    told = [{"text": text, "copies": n} for text, n in zip(texts, copies.tolist(), strict=True)]
    write_json(folder / CANARIES_NAME, {"num_clusters": canaries.num_clusters, "canaries": told})
    all_entries = np.concatenate([table.entries, entries])
    return replace(table, entries=all_entries, id_files=(*table.id_files, ids_path)), planted
