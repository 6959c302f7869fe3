"""pretrained_model: a network trained on the packed rows, as a Hugging Face folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.models import training_run
from tonsai_pipeline.defs.models.launcher import JobOptions
from tonsai_pipeline.defs.stage_asset import Made, Page
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.pipeline import open_builder
from tonsai_pipeline.planner.prediction import compare
from tonsai_pipeline.recipe.train import TeacherConfig, TrainConfig
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.train.spec import MODEL_NAME, TrainRun
from tonsai_pipeline.train.stage import STAGE

_JOB = "tonsai_pipeline.train.job"


def launch(
    context: dg.AssetExecutionContext,
    options: JobOptions,
    builder: Builder,
    key: str,
    folder: Path,
    given: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Train in processes of their own; checkpoints lie beside the artifacts and survive a cancel."""
    teachers = [
        _teacher(context, options, builder, number)
        for number in range(1, given["train"].teacher.num_seeds + 1)
    ]
    run = TrainRun(
        model=given["model"],
        train=_taught_by(given["train"], teachers),
        shards_dir=given["shards"].path,
        tokenizer_dir=given["tokenizer"].path,
        output_dir=builder.store.layout.run("pretrain", key),
        fingerprint=key,
        resume="never" if options.force else options.resume,
        coeng_da=given["normalize"].coeng_da,
    )
    status, records = training_run.launch(context, options, _JOB, run, folder)
    found = training_run.report(status, records) | compare(run.train, status, records)
    return found | ({"teachers": [one.place for one in teachers]} if teachers else {})


def _teacher(
    context: dg.AssetExecutionContext, options: JobOptions, builder: Builder, number: int
) -> Artifact:
    """Return this very model with another seed and without teachers: found finished, or trained now.

    It is known by its own key, as if a recipe asked for it, and not made current of any.
    """
    recipe = builder.recipe
    seed = recipe.train.seed + number
    train = recipe.train.model_copy(update={"seed": seed, "teacher": TeacherConfig()})
    layout = builder.store.layout
    own = open_builder(
        recipe.model_copy(update={"train": train}),
        Store(replace(layout, recipe=f"{layout.recipe}.teachers")),
        builder.dumps,
    )
    key = own.key(STAGE.name)
    assert key is not None, "the student's rows are there, and they are the same"
    context.log.info("teacher %d of %d, seed %d", number, recipe.train.teacher.num_seeds, seed)
    unforced = options.model_copy(update={"force": False})

    def make(*, folder: Path, engine: Any, **given: Any) -> Any:
        del engine
        return launch(context, unforced, own, key, folder, given)

    return own.build(STAGE.name, make=make)


def _taught_by(train: TrainConfig, teachers: Sequence[Artifact]) -> TrainConfig:
    models = (*train.teacher.models, *(one.path / MODEL_NAME for one in teachers))
    teacher = train.teacher.model_copy(update={"models": models, "num_seeds": 0})
    return train.model_copy(update={"teacher": teacher})


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
