"""Files of one language -> our stages up to packed shards, in this process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.builders import open_in
from benchmarks.dedup.recall import recipe_of
from tonsai_pipeline.lineage.builder import all_dumps
from tonsai_pipeline.recipe.mixture import MixtureConfig
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig

LAST = "packed_shards"


def run(data: Path, lang: str, tokenizer: Path, work: Path) -> dict[str, Any]:
    """Build every asset of the recipe's defaults, each document once.

    Returns:
        Documents and tokens that are left, and the CPU seconds of each stage.
    """
    recipe = recipe_of(data, lang).model_copy(
        update={
            "mixture": MixtureConfig(languages={lang: 1.0}, max_epochs=1.0),  # pyright: ignore[reportArgumentType]
            "tokenizer": TokenizerConfig(base=str(tokenizer), compare_gpt2=False),
        }
    )
    builder = open_in(work, recipe)
    seconds = {}
    for name in builder.pipeline.up_to(LAST):
        started = time.process_time()
        for dump in all_dumps(builder.dumps.versions, builder.pipeline[name]):
            builder.build(name, dump)
        seconds[name] = time.process_time() - started
    report = builder.build(LAST).report
    kept = sum(split["num_documents"] for split in report["splits"].values())
    tokens = sum(split["num_tokens"] for split in report["splits"].values())
    return {"documents kept": kept, "tokens": tokens, "CPU s of stages": seconds}
