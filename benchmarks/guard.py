"""Kernels that every document goes through, beside a reference kernel in the same process -> slower than they were, or not.

    generated text ──reference, kernel, reference, ...──▶ CPU time of the kernel / that of the reference ──▶ limit

A busy machine slows both alike: work of others, clock speed and a smaller cache stand on both sides of the ratio, and
the best of many short turns is taken. On one kind of processor, quiet and with eight processes a core, a ratio
moved by up to 13 %; other processors were not tried, so the limit is 2.5 times the ratio. Instructions would be exact, but the counters of a
virtual machine are often shut, and valgrind does not run compiled numba code.

uv run python -m benchmarks.guard [--rounds 15]      ends with 1 and names what is slow
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from random import Random

import numpy as np
import pyarrow as pa

from tonsai_pipeline.dedup.minhash import SignatureScheme, sign_keys
from tonsai_pipeline.dedup.shingles import shingle
from tonsai_pipeline.packing.best_fit import best_fit
from tonsai_pipeline.quality.pii import count_pii
from tonsai_pipeline.quality.signals import measure
from tonsai_pipeline.synthetic.grammar import document
from tonsai_pipeline.synthetic.wrong_encoding import wrong_encoding
from tonsai_pipeline.text import (
    languages_batch,
    legacy_font_batch,
    normalize_batch,
    normalize_batch_report,
)
from tonsai_pipeline.text.dedup_key import dedup_key_batch

#: A regression of this factor is found.
_ROOM = 2.5
#: CPU time of each kernel on the generated text, as a multiple of the reference's; 2026-11-26, two cores of a Xeon.
RATIOS: Mapping[str, float] = {
    "normalize": 3.0,
    "normalize, with report": 3.8,
    "language": 4.6,
    "legacy fonts": 2.5,
    "dedup key": 0.9,
    "shingles": 0.72,
    "signatures": 1.2,
    "quality signals": 5.9,
    "personal data": 1.0,
    "pack": 1.9,
}


def kernels() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name, on half a megabyte of Khmer and English."""
    rng = Random(0)
    khmer = [wrong_encoding(document(rng, "khm"), rng) for _ in range(80)]
    texts = pa.array(khmer + [document(rng, "eng") for _ in range(80)], pa.large_string())
    clean = normalize_batch(texts)
    keys, scheme = dedup_key_batch(clean), SignatureScheme()
    permutations = scheme.permutations()
    lengths = np.random.default_rng(0).integers(16, 2048, 20_000)
    return {
        "normalize": lambda: normalize_batch(texts),
        "normalize, with report": lambda: normalize_batch_report(texts),
        "language": lambda: languages_batch(clean),
        "legacy fonts": lambda: legacy_font_batch(clean),
        "dedup key": lambda: dedup_key_batch(clean),
        "shingles": lambda: shingle(keys),
        "signatures": lambda: sign_keys(keys, scheme, permutations),
        "quality signals": lambda: measure(clean),
        "personal data": lambda: count_pii(clean),
        "pack": lambda: best_fit(lengths, 2048),
    }


def reference() -> Callable[[], object]:
    """Return work of another's: one pass of zlib over text, which reads, branches and looks up as our kernels do."""
    data = document(Random(1), "khm", num_paragraphs=200).encode()
    return lambda: zlib.compress(data, 1)


def cpu_s(work: Callable[[], object]) -> float:
    """Seconds of this thread alone."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def ratios(
    kernels: Mapping[str, Callable[[], object]],
    reference: Callable[[], object],
    *,
    num_rounds: int,
    cost: Callable[[Callable[[], object]], float] = cpu_s,
) -> dict[str, float]:
    """Return the cost of each kernel as a multiple of the reference's, the least of both over all rounds.

    Args:
        kernels: By name; each runs once before, for what is compiled at the first call.
        reference: Runs behind each of them.
        num_rounds: Turns of all.
        cost: Runs work and says what it cost.
    """
    for work in (*kernels.values(), reference):
        work()
    least: dict[str, float] = {}
    beside = cost(reference)
    for _ in range(num_rounds):
        for name, work in kernels.items():
            own = cost(work)
            beside = min(beside, cost(reference))
            least[name] = min(own, least.get(name, own))
    return {name: own / beside for name, own in least.items()}


def too_slow(found: Mapping[str, float], known: Mapping[str, float]) -> list[str]:
    """Name the kernels beyond their limit.

    Example:
        >>> too_slow({"a": 1.5, "b": 2.7}, {"a": 1.0, "b": 1.0})
        ['b: 2.70 times the reference, at most 2.50']
    """
    return [
        f"{name}: {ratio:.2f} times the reference, at most {_ROOM * known[name]:.2f}"
        for name, ratio in found.items()
        if ratio > _ROOM * known[name]
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="turns of all kernels")
    found = ratios(kernels(), reference(), num_rounds=parser.parse_args().rounds)
    for name, ratio in found.items():
        print(f"{name:24} {ratio:6.2f}  was {RATIOS[name]:6.2f}")
    slow = too_slow(found, RATIOS)
    print("\n".join(slow) or "as fast as it was")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
