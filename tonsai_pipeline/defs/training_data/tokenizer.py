"""tokenizer: a Hugging Face tokenizer that is fair to Khmer, with a report for people."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page


def _pictures(made: Made) -> dict[str, Any]:
    held = {lang: row["bytes_per_token"] for lang, row in made.report["fertility"].items()}
    return {"fertility_plot": bar_chart(held, title="Held-out text", unit="bytes a token")}


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    fertility = made.report["fertility"]
    changed = sum(row["num_changed"] for row in fertility.values())
    measured = sum(row["num_texts"] for row in fertility.values())
    yield check(
        "round_trip",
        changed == 0,
        f"{changed} of {measured} held-out documents changed by encoding and decoding",
    )


PAGE = Page(
    "BPE over Khmer clusters and English words, trained on a sample balanced by content; opens with AutoTokenizer.",
    docs="tokenizer.md",
    group="training_data",
    kinds=frozenset({"huggingface"}),
    specs=(CheckSpec("round_trip", "Decoding gives the text back", blocking=True),),
    checks=_checks,
    pictures=_pictures,
)
