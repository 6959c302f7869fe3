"""Recipe -> the whole asset graph: assets, jobs, sensor, schedule, resources."""

from __future__ import annotations

import dagster as dg

from tonsai_pipeline.defs.automation import new_dump_sensor, weekly_corpus_schedule
from tonsai_pipeline.defs.corpus.deduplicated_documents import deduplicated_documents
from tonsai_pipeline.defs.corpus.dump_catalog import RAW_DUMPS, dump_catalog
from tonsai_pipeline.defs.corpus.minhash_signatures import minhash_signatures
from tonsai_pipeline.defs.corpus.normalized_documents import normalized_documents
from tonsai_pipeline.defs.corpus.raw_documents import raw_documents
from tonsai_pipeline.defs.corpus.scored_documents import scored_documents
from tonsai_pipeline.defs.jobs import BUILD_CORPUS, INGEST_DUMP, PRETRAIN
from tonsai_pipeline.defs.models.evaluation_report import evaluation_report
from tonsai_pipeline.defs.models.pretrained_model import pretrained_model
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.defs.training_data.packed_shards import packed_shards
from tonsai_pipeline.defs.training_data.tokenizer import tokenizer
from tonsai_pipeline.defs.training_data.training_mixture import training_mixture
from tonsai_pipeline.recipe import Recipe

_ASSETS = (
    dump_catalog,
    raw_documents,
    normalized_documents,
    minhash_signatures,
    deduplicated_documents,
    scored_documents,
    training_mixture,
    tokenizer,
    packed_shards,
    pretrained_model,
    evaluation_report,
)


def build_definitions(recipe: Recipe, workspace: Workspace) -> dg.Definitions:
    """Build every definition for one recipe.

    Args:
        recipe: The settings; they become code versions.
        workspace: Where data lies.
    """
    return dg.Definitions(
        assets=[RAW_DUMPS, *(build(recipe) for build in _ASSETS)],
        jobs=[INGEST_DUMP, BUILD_CORPUS, PRETRAIN],
        sensors=[new_dump_sensor(recipe, workspace)],
        schedules=[weekly_corpus_schedule()],
        resources={"workspace": workspace},
        # One run is already a process of its own; a process a step costs 10 s each and gives nothing.
        executor=dg.in_process_executor,
    )
