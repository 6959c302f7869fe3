"""minhash_signatures[dump] -> sorted runs of exact keys and band keys, one of each a part.

    part ──bands──▶ bands/<part>  (band key, row)         ──exact──▶ exact/<part>  (high half, (low half, row))

Made once per dump: neither the catalog nor the threshold matters here, so a changed order or an appended
dump reads these runs again and computes none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tonsai_pipeline.dedup.lsh import Wanted, band_keys
from tonsai_pipeline.dedup.minhash import SignatureScheme
from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.lineage import Fields, Stage, same_dump
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.stages.deduplicate.corpus import PlacedDump
from tonsai_pipeline.stages.sign.stage import read_signatures, scheme_of
from tonsai_pipeline.storage.sorted_arrays import read_sorted, write_sorted
from tonsai_pipeline.storage.store import Artifact

_EXACT = np.dtype([("low", "<u8"), ("row", "<u4")])


@dataclass(frozen=True)
class _IndexTask:
    path: Path
    scheme: SignatureScheme
    num_bands: int
    rows_per_band: int


def build_index(
    signatures: Artifact, folder: Path, *, config: DedupConfig, engine: Engine
) -> dict[str, int]:
    """Write the runs of every part of a dump; return how many entries there are.

    Args:
        signatures: The dump's minhash_signatures.
        folder: The building folder.
        config: Of the recipe's `dedup` section: signatures and bands.
        engine: Where parts are processed.
    """
    scheme = scheme_of(config.signatures)
    parts = [
        Part(path.stem, _IndexTask(path, scheme, config.num_bands, config.rows_per_band))
        for path in signatures.parts()
    ]
    results = map_parts(engine, _index_part, parts, folder=folder, label="index")
    return {"num_band_entries": sum(result["num_band_entries"] for result in results)}


STAGE = Stage(
    "dedup_index",
    version="1",
    make=build_index,
    each_dump=True,
    part_of="deduplicated_documents",
    fields={"config": Fields("dedup", only=("signatures", "num_bands", "rows_per_band"))},
    reads={"signatures": same_dump("minhash_signatures")},
)


def read_bands(
    dump: PlacedDump, part: int, first: int, last: int, wanted: Wanted | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return (band keys, rows within the dump) of one part's entries in a range of keys, in key order.

    Args:
        dump: The dump.
        part: Index of the part.
        first: First range.
        last: First range that is not read.
        wanted: If given, only entries with one of these keys.
    """
    keys, rows = read_sorted(_folder(dump) / "bands", _stem(dump, part), first, last)
    if wanted is not None:
        keys, rows = wanted.select(keys, rows)
    return keys, rows.astype(np.int64) + dump.starts[part]


def read_exact(
    dump: PlacedDump, part: int, first: int, last: int, wanted: Wanted | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return (exact keys of shape (n, 2), rows within the dump), ordered by the first half of the key.

    The arguments are those of `read_bands`; the keys that are wanted are first halves.
    """
    highs, values = read_sorted(_folder(dump) / "exact", _stem(dump, part), first, last)
    if wanted is not None:
        highs, values = wanted.select(highs, values)
    rows = values["row"].astype(np.int64) + dump.starts[part]
    return np.stack([highs, values["low"]], axis=1), rows


def _index_part(task: _IndexTask, folder: Path) -> dict[str, Any]:
    keys: list[np.ndarray] = [np.zeros((0, task.num_bands), np.uint64)]
    rows: list[np.ndarray] = [np.zeros(0, np.uint32)]
    highs: list[np.ndarray] = [np.zeros(0, np.uint64)]
    lows: list[np.ndarray] = [np.zeros(0, np.uint64)]
    num_rows = 0
    for batch, signed in read_signatures(task.path, task.scheme):
        compared = np.flatnonzero(signed.num_shingles > 0)
        banded = band_keys(
            signed.values[compared], num_bands=task.num_bands, rows_per_band=task.rows_per_band
        )
        keys.append(banded)
        rows.append((compared + num_rows).astype(np.uint32))
        highs.append(batch.column("exact_high").to_numpy())
        lows.append(batch.column("exact_low").to_numpy())
        num_rows += batch.num_rows
    name = task.path.stem
    flat = np.concatenate(keys)
    write_sorted(
        folder / "bands", name, flat.ravel(), np.repeat(np.concatenate(rows), task.num_bands)
    )
    exact = np.empty(num_rows, dtype=_EXACT)
    exact["low"] = np.concatenate(lows)
    exact["row"] = np.arange(num_rows)
    write_sorted(folder / "exact", name, np.concatenate(highs), exact)
    return {"num_band_entries": flat.size}


def _folder(dump: PlacedDump) -> Path:
    if dump.index is None:
        raise ValueError(f"{dump.key}: its runs are not made yet")
    return dump.index


def _stem(dump: PlacedDump, part: int) -> str:
    return Path(dump.part_names[part]).stem
