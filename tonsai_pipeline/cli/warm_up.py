"""`tonsai warm-up`: compiles every kernel that the stages call, on every core, so that no first run has to.

generated texts ──what stages call, a task each──▶ machine code beside the source (or in NUMBA_CACHE_DIR)

The calls are made with arrays of the types that stages have: numba compiles once for each.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from tonsai_pipeline.cli.options import WorkersOption

if TYPE_CHECKING:
    import pyarrow as pa


def warm_up(workers: WorkersOption = 0) -> None:
    """Compile the numerical kernels now instead of in the first run; once an installation and kind of processor."""
    import time

    from rich.console import Console

    from tonsai_pipeline.engine import open_engine

    started = time.monotonic()
    engine = open_engine(num_workers=workers or None)
    for _ in engine.map(compile_kernels, tuple(TASKS), label="compiling"):
        pass
    engine.close()
    Console(stderr=True, highlight=False).print(
        f"kernels are compiled  {time.monotonic() - started:.1f} s"
    )


def compile_kernels(task: str) -> None:
    """Make the calls of one task."""
    TASKS[task]()


def _texts() -> pa.Array:
    """Khmer and English as stages read them from a part: two that are alike, and what has to be mended."""
    import pyarrow as pa

    from tonsai_pipeline.synthetic.grammar import document
    from tonsai_pipeline.synthetic.wrong_encoding import wrong_encoding

    rng = Random(0)
    khmer, english = (document(rng, lang, "farming") for lang in ("khm", "eng"))
    texts = [wrong_encoding(khmer, rng), english, f"{english} and more\u00a0", ""]
    return pa.array(texts, pa.large_string())


def _normalize() -> None:
    from tonsai_pipeline.text import DEFAULT_OPTIONS, clusters, normalize_batch_report

    normalize_batch_report(_texts(), DEFAULT_OPTIONS)
    clusters("word")


def _label() -> None:
    from tonsai_pipeline.text import label_batch

    label_batch(_texts(), None)


def _convert_fonts() -> None:
    from tonsai_pipeline.synthetic.grammar import document
    from tonsai_pipeline.synthetic.legacy_font import legacy_font_text
    from tonsai_pipeline.text.legacy import convert_documents

    convert_documents([legacy_font_text(document(Random(0), "khm", "farming"))])


def _measure() -> None:
    from tonsai_pipeline.quality.phrases import compile_phrases
    from tonsai_pipeline.quality.pii import count_pii
    from tonsai_pipeline.quality.signals import measure

    measure(_texts(), listed_words=compile_phrases(["word"]))
    count_pii(_texts())


def _write_features() -> None:
    from tonsai_pipeline.quality.features import features

    features(_texts(), max_units=100)


def _deduplicate() -> None:
    import numpy as np

    from tonsai_pipeline.dedup.contamination import find_overlaps, index_items
    from tonsai_pipeline.dedup.lsh import Wanted, band_keys
    from tonsai_pipeline.dedup.minhash import SignatureScheme, sign_keys
    from tonsai_pipeline.dedup.shingles import shingle
    from tonsai_pipeline.stages.prepare_sft.select import near_copies
    from tonsai_pipeline.text.dedup_key import dedup_key_batch
    from tonsai_pipeline.text.utf8 import frozen

    keys, scheme = dedup_key_batch(_texts()), SignatureScheme()
    signed = sign_keys(keys, scheme, scheme.permutations())
    bands = band_keys(signed.values, num_bands=scheme.num_perm // 4, rows_per_band=4)
    wanted = np.unique(bands)
    Wanted.of(wanted).met_by(frozen(wanted.copy()))  # runs are mapped from files
    near_copies(keys, min_similarity=0.8)
    ngrams = shingle(keys)
    find_overlaps(ngrams, index_items(ngrams))


def _encode_and_pack() -> None:
    from tonsai_pipeline.packing.best_fit import best_fit
    from tonsai_pipeline.text.utf8 import batch_of_arrow
    from tonsai_pipeline.tokenizer.plain_text import plain_texts

    plain_texts(batch_of_arrow(_texts()))
    best_fit([3, 2, 1], 4)


#: What takes longest comes first.
TASKS: dict[str, Callable[[], None]] = {
    "legacy fonts": _convert_fonts,
    "signals of quality": _measure,
    "deduplication": _deduplicate,
    "normalizer": _normalize,
    "languages": _label,
    "features of quality": _write_features,
    "encoding and packing": _encode_and_pack,
}
