"""evaluation_report: what the model is worth on held-out text, and what it writes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.models.launcher import JobOptions, launch_job
from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page
from tonsai_pipeline.evaluate.spec import REPORT_NAME, EvalRun
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.train.launch import LaunchSpec
from tonsai_pipeline.train.spec import MODEL_NAME

_JOB = "tonsai_pipeline.evaluate.job"


def launch(
    context: dg.AssetExecutionContext,
    options: JobOptions,
    recipe: Recipe,
    key: str,
    folder: Path,
    given: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Measure the model in a process of its own."""
    del recipe
    run = EvalRun(
        name=given["name"],
        evaluate=given["evaluate"],
        model_dir=given["trained"].path / MODEL_NAME,
        shards_dir=given["shards"].path,
        training_dir=given["trained"].path,
        untrained=given["model"],
        seed=given["seed"],
        coeng_da=given["normalize"].coeng_da,
        output_dir=folder,
        fingerprint=key,
    )
    run_file = run.write()
    launch_job(context, LaunchSpec(_JOB, run_file, folder, launcher="python"), options)
    # It names folders of this machine, which are no part of the result.
    run_file.unlink()
    report: Any = read_json(folder / REPORT_NAME)
    return {"languages": report["languages"], "samples": report["samples"][:6]}


def _pictures(made: Made) -> dict[str, Any]:
    languages = made.report["languages"]
    after = {lang: row["after"]["bits_per_byte"] for lang, row in languages.items()}
    before = {
        f"{lang}, untrained": row["before"]["bits_per_byte"] for lang, row in languages.items()
    }
    numbers = {f"val_bpb_{lang}": value for lang, value in after.items()}
    plot = bar_chart(
        dict(sorted((after | before).items())), title="Held-out text", unit="bits per byte"
    )
    page = dg.MetadataValue.path(str(made.artifact.path / "report.html"))
    return {"bits_per_byte": plot, "report": page, **numbers}


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    pairs = {
        lang: (row["before"]["bits_per_byte"], row["after"]["bits_per_byte"])
        for lang, row in made.report["languages"].items()
    }
    rose = [lang for lang, (before, after) in pairs.items() if after >= before]
    said = ", ".join(
        f"{lang} {before:.3f} to {after:.3f}" for lang, (before, after) in pairs.items()
    )
    yield check("bits_per_byte_fell", not rose, said, warn=True)


PAGE = Page(
    "Loss, perplexity and bits per byte on held-out Khmer and English apart, before and after training, and texts from "
    "fixed prompts. `report.html` opens in a browser.",
    group="models",
    kinds=frozenset({"markdown"}),
    specs=(CheckSpec("bits_per_byte_fell", "Training helped in every language"),),
    checks=_checks,
    pictures=_pictures,
)
