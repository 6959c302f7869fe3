"""pretrained_model: a network trained on the packed rows, as a Hugging Face folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.models import training_run
from tonsai_pipeline.defs.models.launcher import JobOptions, launch_job, link_or_copy
from tonsai_pipeline.defs.stage_asset import Made, Page
from tonsai_pipeline.planner.prediction import compare
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.storage.job_folder import METRICS_NAME, STATUS_NAME, read_metrics
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.train.spec import MODEL_NAME, TrainRun

_JOB = "tonsai_pipeline.train.job"


def launch(
    context: dg.AssetExecutionContext,
    options: JobOptions,
    recipe: Recipe,
    key: str,
    folder: Path,
    given: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Train in processes of their own; checkpoints lie beside the artifacts and survive a cancel."""
    del recipe
    output_dir = Layout.of_artifact(given["shards"].path).run("pretrain", key)
    run = TrainRun(
        model=given["model"],
        train=given["train"],
        shards_dir=given["shards"].path,
        tokenizer_dir=given["tokenizer"].path,
        output_dir=output_dir,
        fingerprint=key,
        resume="never" if options.force else options.resume,
        coeng_da=given["normalize"].coeng_da,
    )
    result = launch_job(context, options.spec(_JOB, run.write(), output_dir), options)
    for kept in (MODEL_NAME, METRICS_NAME, STATUS_NAME):
        link_or_copy(output_dir / kept, folder / kept)
    records = read_metrics(output_dir / METRICS_NAME)
    return training_run.report(result.status, records) | compare(
        given["train"], result.status, records
    )


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    return training_run.checks(made, made.recipe.train.regression.max_rise_frac)


PAGE = Page(
    "The network, trained by DeepSpeed in processes of its own. `model/` opens with AutoModelForCausalLM. Cancel it and "
    "it saves a checkpoint; run it again and it goes on.",
    group="models",
    kinds=frozenset({"deepspeed", "huggingface"}),
    specs=training_run.SPECS,
    checks=_checks,
    pictures=training_run.pictures,
)
