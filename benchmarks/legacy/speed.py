"""Pages of law in Limon -> MB of converted text a second of CPU time, step by step and all together."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from benchmarks import texts
from tonsai_pipeline.text import cut_damage_batch, normalize_batch_report
from tonsai_pipeline.text.legacy import Layout, convert_batch, convert_documents, table_of
from tonsai_pipeline.text.legacy.score import score_batch

NUM_RUNS = 9


def measure(data: Path) -> dict[str, float]:
    """Return the best of some runs: the machine may have other work."""
    pages = texts.read_texts(data / "khm" / "junk_legacy_font.jsonl.gz")
    array, limon = pa.array(pages, pa.large_string()), table_of("limon")
    raw, counts = convert_batch(array, limon)
    found = convert_documents(pages)
    num_mb = sum(len(one.text.encode()) for one in found if one is not None) / 1e6
    whole, starts = "\n".join(pages), [0]
    for page in pages[:-1]:
        starts.append(starts[-1] + len(page) + 1)
    layout = Layout(["LimonS1"], [0, 0], starts)
    steps: dict[str, Callable[[], object]] = {
        "codes to Unicode": lambda: convert_batch(array, limon),
        "normalization": lambda: normalize_batch_report(raw),
        "normalization and scores": lambda: score_batch(raw, counts, "limon"),
        "which lines are legacy": lambda: cut_damage_batch(array),
        "all, fonts named (a PDF)": lambda: convert_documents([whole], [layout]),
        "all, nothing named": lambda: convert_documents(pages),
    }
    return {f"{name}, MB/s": num_mb / _seconds(step) for name, step in steps.items()}


def _seconds(step: Callable[[], object]) -> float:
    step()
    taken = []
    for _ in range(NUM_RUNS):
        began = time.process_time()
        step()
        taken.append(time.process_time() - began)
    return min(taken)
