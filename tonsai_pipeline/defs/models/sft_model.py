"""sft_model: a base model tuned on instructions, all of it or by adapters."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.models import training_run
from tonsai_pipeline.defs.models.launcher import JobOptions
from tonsai_pipeline.defs.stage_asset import Made, Page
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.stages.prepare_sft.chat_tokenizer import FOLDER
from tonsai_pipeline.storage.files import link_or_copy
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.train.spec import MODEL_NAME
from tonsai_pipeline.tune.spec import ADAPTER_NAME, TuneRun

_JOB = "tonsai_pipeline.tune.job"


def launch(
    context: dg.AssetExecutionContext,
    options: JobOptions,
    builder: Builder,
    key: str,
    folder: Path,
    given: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Tune in processes of their own; checkpoints lie beside the artifacts and survive a cancel."""
    del builder
    sft, dataset = given["sft"], given["dataset"]
    run = TuneRun(
        model=base_section(given),
        train=given["train"],
        shards_dir=dataset.path,
        tokenizer_dir=dataset.path / FOLDER,
        output_dir=Layout.of_artifact(dataset.path).run("sft", key),
        fingerprint=key,
        resume="never" if options.force else options.resume,
        coeng_da=given["normalize"].coeng_da,
        lora=sft.lora if sft.method == "lora" else None,
        marker_ids=tuple(dataset.report["marker_ids"]),
        keeps_adapter=dataset.report["num_added_markers"] == 0,
        adapter_base="" if sft.base is None or Path(sft.base).exists() else sft.base,
    )
    status, records = training_run.launch(context, options, _JOB, run, folder)
    if (run.output_dir / ADAPTER_NAME).exists():
        link_or_copy(run.output_dir / ADAPTER_NAME, folder / ADAPTER_NAME)
    return {
        "method": sft.method,
        "license": dataset.report["license"],
        **training_run.report(status, records),
    }


def base_section(given: Mapping[str, Any]) -> ModelConfig:
    """Describe the model that is tuned; positions begin anew in each conversation, as they do when one is answered."""
    sft, pretrained = given["sft"], given["pretrained"]
    place = sft.base if pretrained is None else str(pretrained.path / MODEL_NAME)
    return ModelConfig(base=place, base_revision=sft.base_revision, positions="document")


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    limits = made.recipe.sft.train.regression.max_rise_frac
    return training_run.checks(made, limits, fell=("replies",))


PAGE = Page(
    "The base model, tuned to answer: `model/` opens with AutoModelForCausalLM and ends its replies by itself; with LoRA, "
    "`adapter/` is what was learned alone. Cancel it and it saves a checkpoint; run it again and it goes on.",
    docs="tuning.md",
    group="models",
    kinds=frozenset({"deepspeed", "huggingface"}),
    specs=training_run.SPECS,
    checks=_checks,
    pictures=training_run.pictures,
)
