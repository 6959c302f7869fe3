"""labels.tsv: documents that were read, and what was said -> bytes lost without good reason, junk that stays.

No text is in the file of labels, only rows of the files in FOLDER. A file's loss without good reason is estimated as
the bytes that the default rules drop of it, as the kind that it is, times the good share of the dropped documents that
were read; without any that were read, all of it counts.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.corpus import read_files
from benchmarks.quality.drops import KINDS, verdict

LABELS = Path(__file__).with_name("labels.tsv")


def read_labels() -> dict[str, dict[int, bool]]:
    """Return by file, by row, whether a corpus would want the document."""
    labels: dict[str, dict[int, bool]] = defaultdict(dict)
    for line in LABELS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "file\t")):
            name, row, _, said = line.split("\t")
            labels[name][int(row)] = said == "good"
    return labels


def measure_losses(data: Path) -> list[dict[str, Any]]:
    """Return a row for each file that was read in."""
    files, rows = read_files(data), []
    for name, labels in sorted(read_labels().items()):
        kind = KINDS.get(name, "prose")
        gone = verdict(files[name], kind) != None  # noqa: E711 (elementwise)
        sizes = np.array([len(text.encode()) for text in files[name].texts.to_pylist()])
        good = np.array([row for row, wanted in labels.items() if wanted], dtype=int)
        junk = np.array([row for row, wanted in labels.items() if not wanted], dtype=int)
        read = np.concatenate([good[gone[good]], junk[gone[junk]]])
        share = sizes[good[gone[good]]].sum() / sizes[read].sum() if len(read) else 1.0
        lost = float(sizes[gone].sum() / sizes.sum())
        rows.append(
            {
                "file": name,
                "kind": kind,
                "read": len(labels),
                "read and dropped": len(read),
                "bytes_lost_frac": lost,
                "without_good_reason_frac": lost * float(share),
                "good that stay": int((~gone[good]).sum()),
                "good that go": int(gone[good].sum()),
                "junk that stays": int((~gone[junk]).sum()),
                "junk that goes": int(gone[junk].sum()),
            }
        )
    return rows
