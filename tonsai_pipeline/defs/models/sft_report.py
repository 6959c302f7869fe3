"""sft_report: the tuned model beside its base: held-out instructions, text, the prompt suite, health, and the gate."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.models.evaluation_report import report_links, run_evaluation, verdict_of
from tonsai_pipeline.defs.models.launcher import JobOptions
from tonsai_pipeline.defs.models.sft_model import base_section
from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page
from tonsai_pipeline.evaluate.spec import EvalRun
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.stages.mix.texts import mixture_parts
from tonsai_pipeline.stages.prepare_sft.stage import HELD_OUT_NAME
from tonsai_pipeline.train.spec import MODEL_NAME


def launch(
    context: dg.AssetExecutionContext,
    options: JobOptions,
    builder: Builder,
    key: str,
    folder: Path,
    given: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Measure the tuned model and its base in a process of its own."""
    del builder
    dataset, packed, base = given["dataset"], given["packed"], base_section(given)
    following = given["sft"].following
    run = EvalRun(
        name=given["name"],
        evaluate=given["evaluate"],
        model_dir=given["tuned"].path / MODEL_NAME,
        shards_dir=dataset.path,
        pretraining_dir=packed and packed.path,
        training_dir=given["tuned"].path,
        untrained=base,
        base=_place(base.base, base.base_revision),
        instructions=dataset.path / HELD_OUT_NAME,
        max_instructions=following.max_items,
        max_answer_tokens=following.max_new_tokens,
        seed=0,
        coeng_da=given["normalize"].coeng_da,
        output_dir=folder,
        fingerprint=key,
    )
    parts = mixture_parts(given["mixed"], given["normalized"])
    results = run_evaluation(context, options, run, parts)
    tuned, before = results["following"]
    return {
        "following": {
            group: {
                "base": before["exact"][group]["value"],
                "tuned": tuned["exact"][group]["value"],
            }
            for group in tuned["exact"]
        },
        "ended_frac": tuned["ended"]["value"],
        "chrf2": {"base": before["chrf2"], "tuned": tuned["chrf2"]},
        "health": tuned["health"],
        "languages": results["languages"],
        "gate": results["gate"],
        "suite": {model["name"]: model["suite"] for model in results["models"][:2]},
        "answers": tuned["answers"],
    }


def _place(base: str | None, revision: str | None) -> str:
    return f"{base}@{revision}" if revision else str(base)


def _pictures(made: Made) -> dict[str, Any]:
    rows = made.report["following"]
    plot = bar_chart(
        {group: row["tuned"] for group, row in rows.items()},
        targets={group: row["base"] for group, row in rows.items()},
        title="Right answers to held-out instructions",
        unit="fraction",
    )
    return {"following": plot, **report_links(made)}


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    report = made.report
    ended, least = report["ended_frac"], made.recipe.sft.following.min_ended_frac
    yield check(
        "stops_by_itself", ended >= least, f"{ended:.1%} of the answers, at least {least:.1%}"
    )
    before, after = report["chrf2"]["base"], report["chrf2"]["tuned"]
    yield check("follows_better", after > before, f"chrF2 {before:.1f} to {after:.1f}", warn=True)
    yield verdict_of(report)


PAGE = Page(
    "The tuned model beside its base, on conversations that neither saw: right answers, whether it stops by itself, health "
    "of its Khmer, held-out text, the prompt suite, the gate. `report.html` opens in a browser.",
    docs="evaluation.md",
    group="models",
    kinds=frozenset({"html"}),
    specs=(
        CheckSpec("stops_by_itself", "It ends its answers, as sft.following asks"),
        CheckSpec("follows_better", "Its answers are more like the replies than the base model's"),
        CheckSpec("gate", "The model may be given to others"),
    ),
    checks=_checks,
    pictures=_pictures,
)
