"""Recipe -> its asset graph: assets, jobs, sensor, schedule."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.automation import Jobs, automation
from tonsai_pipeline.defs.automation.alerts import alerts
from tonsai_pipeline.defs.corpus import (
    contaminated_documents,
    deduplicated_documents,
    kept_documents,
    minhash_signatures,
    normalized_documents,
    quality_classifiers,
    raw_documents,
    scored_documents,
)
from tonsai_pipeline.defs.corpus.dump_catalog import dump_catalog, raw_dumps
from tonsai_pipeline.defs.dump_runs import settle_dumps
from tonsai_pipeline.defs.history import prune_history
from tonsai_pipeline.defs.instructions import instruction_data, sft_dataset
from tonsai_pipeline.defs.jobs import (
    build_corpus,
    everything,
    ingest_dump,
    ingest_dumps,
    pretrain,
    publish,
    tune,
)
from tonsai_pipeline.defs.models import (
    evaluation_report,
    pilot,
    pretrained_model,
    published_model,
    sft_model,
    sft_report,
)
from tonsai_pipeline.defs.models.launcher import JobOptions
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.defs.stage_asset import Launch, Page, stage_asset
from tonsai_pipeline.defs.training_data import (
    packed_shards,
    tokenized_documents,
    tokenizer,
    training_mixture,
)
from tonsai_pipeline.pipeline import PIPELINE
from tonsai_pipeline.recipe import Recipe

PAGES: Mapping[str, Page] = {
    "raw_documents": raw_documents.PAGE,
    "normalized_documents": normalized_documents.PAGE,
    "minhash_signatures": minhash_signatures.PAGE,
    "contaminated_documents": contaminated_documents.PAGE,
    "deduplicated_documents": deduplicated_documents.PAGE,
    "kept_documents": kept_documents.PAGE,
    "quality_classifiers": quality_classifiers.PAGE,
    "scored_documents": scored_documents.PAGE,
    "training_mixture": training_mixture.PAGE,
    "tokenizer": tokenizer.PAGE,
    "tokenized_documents": tokenized_documents.PAGE,
    "packed_shards": packed_shards.PAGE,
    "pretrained_model": pretrained_model.PAGE,
    "evaluation_report": evaluation_report.PAGE,
    "instruction_data": instruction_data.PAGE,
    "sft_dataset": sft_dataset.PAGE,
    "sft_model": sft_model.PAGE,
    "sft_report": sft_report.PAGE,
    "published_model": published_model.PAGE,
}

LAUNCHES: Mapping[str, Launch] = {
    "pretrained_model": pretrained_model.launch,
    "evaluation_report": evaluation_report.launch,
    "sft_model": sft_model.launch,
    "sft_report": sft_report.launch,
}


def build_definitions(recipe: Recipe, workspace: Workspace) -> dg.Definitions:
    """Build every definition of one recipe; the recipe's name stands before every name.

    Args:
        recipe: The settings; they become code versions.
        workspace: Where data lies.
    """
    graph = Graph(recipe, workspace)
    release = partial(published_model.launch, recipe_file=workspace.recipe_file)
    launches = {**LAUNCHES, "published_model": release}
    assets: list[Any] = [
        stage_asset(
            graph,
            stage,
            PAGES[stage.name],
            PAGES,
            prepare=lambda context, options: settle_dumps(context, graph, PAGES, options),
            launch=launches.get(stage.name),
            **({"options": JobOptions} if stage.launched else {}),
        )
        for stage in PIPELINE.assets(recipe)
    ]
    jobs = [tune(graph)] if recipe.sft.is_wanted else []
    jobs += [publish(graph)] if recipe.publish.license else []
    switches = dg.Definitions()
    if recipe.sources:
        assets += [raw_dumps(graph), dump_catalog(graph, PAGES)]
        asked = Jobs(ingest_dumps(graph, PAGES), build_corpus(graph), pretrain(graph))
        jobs += [everything(graph), ingest_dump(graph), asked.ingest_dumps]
        jobs += [asked.build_corpus, asked.pretrain]
        switches = automation(graph, PAGES, asked)
    if recipe.pilot is not None:
        assets += pilot.pilot_assets(graph)
        jobs.append(pilot.pilot_job(graph))
    prune_job, forget_old_runs = prune_history(graph)
    definitions = dg.Definitions(
        assets=assets,
        jobs=[*jobs, prune_job],
        sensors=alerts(graph),
        schedules=[forget_old_runs],
        # One run is already a process of its own; a process a step costs 10 s each and gives nothing.
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(definitions, switches)
