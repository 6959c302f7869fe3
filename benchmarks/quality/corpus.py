"""FOLDER/{khm,eng}/*.jsonl.gz -> normalized documents by file, as `normalize` would hand them to `score`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.texts import read_texts
from tonsai_pipeline.stages.score.parts import rules_language
from tonsai_pipeline.text import languages_batch, legacy_font_batch, normalize_batch_report

#: Prose that a corpus must not lose.
CLEAN = (
    "khm/news",
    "khm/udhr",
    "khm/law_clean",
    "eng/abc_news",
    "eng/state_union",
    "eng/debian_handbook",
)
#: What quality scoring must throw out.
JUNK = ("khm/junk_ui_strings", "eng/junk_ui_strings", "eng/junk_bug_titles", "khm/junk_legacy_font")


@dataclass(frozen=True)
class TextFile:
    """One file, normalized.

    Args:
        name: `<language>/<name>`.
        texts: Its documents, those included that the normalizer rejects.
        rejected: Whether the normalizer rejects a document, shape (num_docs,).
        languages: Language of each document.
        bad_clusters_frac: Orphan marks and invalid clusters, as a share of clusters.
    """

    name: str
    texts: pa.LargeStringArray
    rejected: npt.NDArray[np.bool_]
    languages: npt.NDArray[np.object_]
    bad_clusters_frac: npt.NDArray[np.float64]

    @property
    def lang(self) -> str:
        """Language of the source: the name of the folder."""
        return self.name[:3]

    def judged_as(self) -> npt.NDArray[np.object_]:
        """Return whose limits each document is judged by, `khm` or `eng`."""
        return np.array([rules_language(language) for language in self.languages], dtype=object)


@cache  # most sections ask for all of them
def read_files(data: Path) -> dict[str, TextFile]:
    """Read and normalize every file."""
    paths = sorted(data.glob("khm/*.jsonl.gz")) + sorted(data.glob("eng/*.jsonl.gz"))
    return {
        name: read_file(name, path)
        for path in paths
        for name in [f"{path.parent.name}/{path.name.removesuffix('.jsonl.gz')}"]
    }


def read_file(name: str, path: Path) -> TextFile:
    """Read and normalize one file."""
    texts, seen = normalize_batch_report(pa.array(read_texts(path), pa.large_string()))
    bad = sum(seen.field(key).to_numpy() for key in ("num_orphan_marks", "num_invalid_clusters"))
    return TextFile(
        name=name,
        texts=texts,
        rejected=np.array([reason is not None for reason in legacy_font_batch(texts).to_pylist()]),
        languages=np.array(languages_batch(texts).to_pylist(), dtype=object),
        bad_clusters_frac=bad / np.maximum(seen.field("num_clusters").to_numpy(), 1),
    )
