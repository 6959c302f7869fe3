"""groups.parquet of scored_documents -> how many documents of the whole corpus each kept one stands for.

    groups of every dump ──by dump, by part──▶ GroupSizes, Sizes ──for rows of a part──▶ group sizes

The keep-list of a dump counts the copies in that dump alone, for it must not change when a dump is added. Rehydration
wants all copies: a page that ten crawls have is read more often than a page of one. The sizes of a dump have a digest
of their own, so that a new dump mixes again only the dumps whose documents it repeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.stages.deduplicate.summary import GROUPS_FILE
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.files import digest_json
from tonsai_pipeline.storage.store import Artifact

#: Rows of a part that stand for a group, ascending, and its size.
Sizes = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]


@dataclass(frozen=True)
class GroupSizes:
    """Sizes of the groups of two or more that the documents of one dump stand for.

    Args:
        digest: Of all of them.
        by_part: Rows and sizes by part name.
    """

    digest: str
    by_part: Mapping[str, Sizes]


def group_sizes(groups: Sizes | None, kept: pa.Table) -> npt.NDArray[np.int32]:
    """Return the group size of every row of a part of scored_documents, 1 where there is no group."""
    sizes = np.ones(kept.num_rows, dtype=np.int32)
    if groups is not None:
        rows, found = groups
        wanted = kept.column("row_in_part").to_numpy()
        place = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
        is_in = rows[place] == wanted
        sizes[is_in] = found[place[is_in]]
    return sizes


def read_group_sizes(scored: Artifact) -> dict[str, GroupSizes]:
    """Return the group sizes of every dump that has any.

    Raises:
        DataError: The scored documents carry no groups.
    """
    path = scored.path / GROUPS_FILE
    if not path.is_file():
        raise DataError(f"{path}: no such file; materialize scored_documents again")
    table = read_part(path, ["dump", "part", "row_in_part", "group_size"])
    table = table.sort_by([(name, "ascending") for name in ("dump", "part", "row_in_part")])
    names = list(
        zip(table.column("dump").to_pylist(), table.column("part").to_pylist(), strict=True)
    )
    rows, sizes = (table.column(name).to_numpy() for name in ("row_in_part", "group_size"))
    by_dump: dict[str, dict[str, Sizes]] = {}
    start = 0
    for (dump, part), members in groupby(names):
        stop = start + sum(1 for _ in members)
        by_dump.setdefault(dump, {})[part] = (rows[start:stop].copy(), sizes[start:stop].copy())
        start = stop
    return {dump: GroupSizes(_digest(parts), parts) for dump, parts in by_dump.items()}


def _digest(parts: Mapping[str, Sizes]) -> str:
    return digest_json(
        [[name, rows.tolist(), sizes.tolist()] for name, (rows, sizes) in sorted(parts.items())]
    )
