"""What runs by itself, once a person switches it on: each arrow is a switch on the automation page.

inbox, recipe paths, registry, Hub ──new_dumps──▶ ingested dumps ──follow_dumps──▶ corpus
corpus ──retrain──▶ model ──follow_model──▶ evaluation        schedules: weekly_corpus, monthly_model

new_dumps.py   dumps that lack something -> runs of many dumps
follow.py      the other arrows: a job whose assets are missing, when what it reads is there
asked.py       what was asked for, how often, and when it may be asked for again
upkeep.py      runs that lost their process; checks that say what is older than what it is made from
alerts.py      messages to a webhook when a run, or a check that blocks, failed

Everything is decided by `missing.find_missing`, from keys: success ends the asking, not the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.automation.follow import (
    follow_dumps,
    follow_model,
    monthly_model,
    retrain,
    weekly_corpus,
)
from tonsai_pipeline.defs.automation.new_dumps import new_dumps
from tonsai_pipeline.defs.automation.upkeep import freshness_checks, lost_runs, say_stale
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.stage_asset import Pages


@dataclass(frozen=True)
class Jobs:
    """What sensors and schedules ask for."""

    ingest_dumps: dg.JobDefinition
    build_corpus: Any
    pretrain: Any


def automation(graph: Graph, pages: Pages, jobs: Jobs) -> dg.Definitions:
    """Return the switches of a recipe, and the checks that they keep true."""
    return dg.Definitions(
        sensors=[
            new_dumps(graph, pages, jobs.ingest_dumps),
            follow_dumps(graph, pages, jobs.build_corpus, jobs.ingest_dumps),
            retrain(graph, jobs.pretrain),
            follow_model(graph, jobs.pretrain),
            say_stale(graph),
            lost_runs(graph),
        ],
        schedules=[
            weekly_corpus(graph, jobs.build_corpus),
            monthly_model(graph, jobs.pretrain),
        ],
        asset_checks=freshness_checks(graph),
    )
