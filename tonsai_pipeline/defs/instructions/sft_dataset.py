"""sft_dataset: packed rows that say which tokens are learned, and conversations held out."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page


def _pictures(made: Made) -> dict[str, Any]:
    sources = made.report["sources"]
    tokens = {name: row["num_tokens"] for name, row in sources.items()}
    whole = max(1, sum(tokens.values()))
    plot = bar_chart(
        {name: own / whole for name, own in tokens.items()},
        title="Share of instruction tokens",
        unit="fraction",
    )
    shown = "\n\n".join(
        f"**{row['source']}**\n\n```\n{row['given']}\n```\nlearned:\n```\n{row['learned']}\n```"
        for row in made.report["shown"]
    )
    return {"shares": plot, "labels": dg.MetadataValue.md(shown)}


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    report = made.report
    lost = [
        name
        for name, row in report["sources"].items()
        if row["num_kept"] != row["num_dropped_later"] + row["num_train"] + row["num_held_out"]
    ]
    kept = report["num_conversations"] + report["num_held_out"]
    yield check(
        "no_conversation_lost",
        not lost,
        ", ".join(lost) or f"{kept:,} are in rows or held out, the others dropped by reason",
    )
    frac = report["learned_frac"]
    yield check(
        "replies_are_learned",
        0.0 < frac < 1.0,
        f"{frac:.1%} of the instruction tokens are replies",
        learned_frac=frac,
    )
    cut = report["num_truncated"] / max(1, kept)
    yield check(
        "few_are_truncated", cut <= 0.1, f"{cut:.1%} of the conversations lost turns", warn=True
    )


PAGE = Page(
    "Conversations in tokens, packed whole; replies and their ends are learned, nothing else. Copies by instruction across "
    "all sources and what evaluation sets hold are dropped.",
    docs="tuning.md",
    group="instructions",
    kinds=frozenset({"numpy"}),
    specs=(
        CheckSpec(
            "no_conversation_lost", "In a row, held out, or dropped by reason", blocking=True
        ),
        CheckSpec("replies_are_learned", "Some tokens are learned, and not all", blocking=True),
        CheckSpec("few_are_truncated", "Most conversations fit a row"),
    ),
    checks=_checks,
    pictures=_pictures,
)
