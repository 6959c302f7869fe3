"""Files of one language -> datatrove's pipeline as its FineWeb example has it, up to one shuffled stream of tokens.

JSONL ──FTFY, Gopher, C4, FineWeb──▶ kept ──MinHash, 3 stages──▶ removed ──PII, DocumentTokenizer──▶ merged .ds
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xxhash
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer, DocumentTokenizerMerger
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.text import TextNormConfig
from loguru import logger

from tonsai_pipeline import quality


def run(data: Path, lang: str, tokenizer: Path, work: Path) -> dict[str, Any]:
    """Run every step in this process; return documents and tokens that are left."""
    logger.remove()
    # Without this every Khmer vowel is taken off the text that is compared: two in three drops are wrong.
    config = MinhashConfig(norm_config=TextNormConfig(norm_unicode_diacritics=False))
    signature = MinhashDedupSignature(str(work / "signatures"), config, language=lang)
    # 0.10.1 hands str to xxhash, which since version 4 takes bytes alone: the same hash, encoded here.
    signature._hash_func = _hash
    _execute(
        work,
        "filter",
        JsonlReader(str(data / lang), glob_pattern="*.jsonl.gz"),
        FTFYFormatter(normalization="NFC"),
        GopherRepetitionFilter(language=lang),
        GopherQualityFilter(language=lang, stop_words=_stop_words(lang)),
        C4QualityFilter(language=lang, filter_no_terminal_punct=False),
        FineWebQualityFilter(language=lang),
        JsonlWriter(str(work / "kept")),
    )
    _execute(work, "sign", JsonlReader(str(work / "kept")), signature)
    buckets = MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets"), config=config)
    _execute(work, "buckets", buckets, tasks=config.num_buckets)
    cluster = MinhashDedupCluster(str(work / "buckets"), str(work / "removed"), config=config)
    _execute(work, "cluster", cluster)
    _execute(
        work,
        "tokenize",
        JsonlReader(str(work / "kept")),
        MinhashDedupFilter(str(work / "removed")),
        PIIFormatter(),
        DocumentTokenizer(str(work / "tokens"), str(tokenizer / "tokenizer.json"), eos_token="<|eos|>", seed=0),
    )  # fmt: skip
    merger = DocumentTokenizerMerger(
        str(work / "tokens"), str(work / "shards"), "shard", seed=0, progress=False
    )
    _execute(work, "merge", merger)
    streams = list((work / "shards").glob("*.ds"))
    documents = sum(path.stat().st_size // 8 for path in (work / "shards").glob("*.index"))
    return {
        "documents kept": documents,
        # Of two bytes each: the vocabulary is below 65,536.
        "tokens": sum(path.stat().st_size // 2 for path in streams),
    }


def _execute(work: Path, name: str, *steps: PipelineStep, tasks: int = 1) -> None:
    logs = str(work / "logs" / name)
    LocalPipelineExecutor(list(steps), tasks=tasks, workers=1, logging_dir=logs).run()


def _hash(text: str) -> int:
    return xxhash.xxh64_intdigest(text.encode())


def _stop_words(lang: str) -> list[str] | None:
    """Return Khmer function words: by the English ones of Gopher no Khmer would be left."""
    if lang == "eng":
        return None
    path = Path(quality.__file__).with_name(f"stop_words_{lang}.txt")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
