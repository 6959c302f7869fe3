"""packed_shards: fixed rows of tokens in training order, and a validation split a language."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page

#: Half a percentage point between the target share of a source and the realised one.
_MAX_GAP = 0.005


def _pictures(made: Made) -> dict[str, Any]:
    sources = made.report["sources"]
    plot = bar_chart(
        {name: row["share"] for name, row in sources.items()},
        targets={name: row["target_share"] for name, row in sources.items()},
        title="Share of training tokens",
        unit="fraction",
    )
    return {"shares": plot}


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    report = made.report
    planned = sum(row["num_tokens"] for row in report["sources"].values())
    planned += report["num_canary_tokens"]
    packed = report["num_tokens"]
    yield check("no_token_lost", planned == packed, f"{planned:,} planned, {packed:,} packed")
    gaps = {
        name: abs(row["share"] - row["target_share"]) for name, row in report["sources"].items()
    }
    worst = max(gaps, key=gaps.__getitem__)
    yield check(
        "shares_realised",
        gaps[worst] <= _MAX_GAP and not report["shortfalls"],
        "; ".join(
            [*report["shortfalls"], f"largest gap {gaps[worst]:.4f} of all tokens, in {worst}"]
        ),
        warn=True,
        gap=gaps[worst],
    )


PAGE = Page(
    "Rows of token ids, whole documents where they fit, in the order of training.",
    docs="shards.md",
    group="training_data",
    kinds=frozenset({"numpy"}),
    specs=(
        CheckSpec("no_token_lost", "Tokens in equal tokens out", blocking=True),
        CheckSpec("shares_realised", "Realised shares are near their targets"),
    ),
    checks=_checks,
    pictures=_pictures,
)
