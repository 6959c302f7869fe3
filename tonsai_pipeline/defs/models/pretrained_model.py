"""pretrained_model: a network trained on the packed rows, as a Hugging Face folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.models import training_run
from tonsai_pipeline.defs.models.launcher import JobOptions
from tonsai_pipeline.defs.stage_asset import Made, Page
from tonsai_pipeline.planner.prediction import compare
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.train.spec import TrainRun

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
    run = TrainRun(
        model=given["model"],
        train=given["train"],
        shards_dir=given["shards"].path,
        tokenizer_dir=given["tokenizer"].path,
        output_dir=Layout.of_artifact(given["shards"].path).run("pretrain", key),
        fingerprint=key,
        resume="never" if options.force else options.resume,
        coeng_da=given["normalize"].coeng_da,
    )
    status, records = training_run.launch(context, options, _JOB, run, folder)
    return training_run.report(status, records) | compare(given["train"], status, records)


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    return training_run.checks(made, made.recipe.train.regression.max_rise_frac)


PAGE = Page(
    "The network, trained by DeepSpeed in processes of its own. `model/` opens with AutoModelForCausalLM. Cancel it and "
    "it saves a checkpoint; run it again and it goes on.",
    docs="training.md",
    group="models",
    kinds=frozenset({"deepspeed", "huggingface"}),
    specs=training_run.SPECS,
    checks=_checks,
    pictures=training_run.pictures,
)
