"""The dumps as people brought them -> where each stands, on the page of `raw_dumps`.

waiting      there, and not in yet          growing          a file is so young that somebody may still write it
in           every asset of it is made      failed           tried, and tried again later
set aside    failed three times             switched off     `tonsai dumps remove`
not understood   a file of the inbox that belongs to no source
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from tonsai_pipeline.catalog.attempts import Attempts
from tonsai_pipeline.catalog.catalog import Catalog, Dump
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.report_page import page_url, write_page
from tonsai_pipeline.defs.results import table
from tonsai_pipeline.defs.stage_asset import Pages, is_good
from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.missing import DUMP_ASSETS, find_missing
from tonsai_pipeline.pipeline import open_builder, view_of
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.files import digest_json
from tonsai_pipeline.storage.layout import WHOLE

#: A file younger than this may still be being written.
SETTLE_S = 20.0
RAW_DUMPS = "raw_dumps"
#: What a person has to look at first.
_STATES = ("not understood", "set aside", "failed", "growing", "waiting", "switched off", "in")
#: Rows of the table; more are only counted.
_MAX_ROWS = 200


def lacking(
    graph: Graph, pages: Pages, catalog: Catalog, now_s: float
) -> tuple[dict[str, str], list[str], Mapping[DumpKey, str]]:
    """Return dumps that are not in yet: content by key, those that somebody still writes, those that failed for good.

    Args:
        graph: The recipe and its place.
        pages: The pages with the checks that block.
        catalog: The dumps as they are.
        now_s: Seconds since the epoch.
    """
    builder = open_builder(graph.recipe, graph.store, view_of(catalog))
    missing = find_missing(
        builder, chosen=DUMP_ASSETS, is_good=lambda *found: is_good(pages, *found)
    )
    waiting, growing = {}, []
    for key in missing.dumps:
        if _is_growing(catalog[key], now_s):
            growing.append(str(key))
        elif key not in missing.stopped:
            waiting[str(key)] = builder.dumps.versions[key]
    return waiting, growing, missing.stopped


def _is_growing(dump: Dump, now_s: float) -> bool:
    try:
        return dump.is_growing(now_s - SETTLE_S)
    except DumpError:  # a file went between two looks; the next one tells
        return True


def look_at_inbox(graph: Graph, pages: Pages) -> dg.AssetObservation:
    """Return where the dumps stand now; see `observe_inbox`."""
    catalog = graph.find_dumps(reads=False)
    waiting, growing, _ = lacking(graph, pages, catalog, time.time())
    return observe_inbox(graph, catalog, waiting, growing)


def observe_inbox(
    graph: Graph, catalog: Catalog, waiting: Collection[str], growing: Collection[str]
) -> dg.AssetObservation:
    """Write the page of the inbox and return what to tell Dagster of it.

    Args:
        graph: The recipe and its place.
        catalog: The dumps as they are.
        waiting: Those that are not in yet; see `lacking`.
        growing: Those that somebody still writes.
    """
    rows = sorted(_states(graph, catalog, waiting, growing), key=lambda row: _STATES.index(row[1]))
    counts = Counter(state for _, state, _ in rows)
    place = f"{RAW_DUMPS}/{WHOLE}/{digest_json(graph.recipe.name)[:16]}"
    metadata: dict[str, Any] = {
        **{state.replace(" ", "_"): counts[state] for state in _STATES},
        "inbox": dg.MetadataValue.path(graph.store.layout.inbox_place),
        "dumps": dg.MetadataValue.md(table(["dump", "state", "why"], rows[:_MAX_ROWS])),
    }
    write_page(graph.store.layout.root, place, metadata)
    page = dg.MetadataValue.url(page_url(place))
    return dg.AssetObservation(graph.key(RAW_DUMPS), metadata={"page": page, **metadata})


def _states(
    graph: Graph, catalog: Catalog, waiting: Collection[str], growing: Collection[str]
) -> list[tuple[str, str, str]]:
    """Return (dump, state, reason) of everything that people brought."""
    attempts = Attempts(graph.store.layout.attempts, graph.recipe)
    rows = [("", "not understood", problem) for problem in catalog.problems]
    for dump in catalog.dumps:
        if not dump.is_on:
            state, why = "switched off", ""
        elif dump.set_aside:
            state, why = "set aside", dump.set_aside
        elif dump.key in growing:
            state, why = "growing", ""
        elif dump.key in waiting:
            failed = attempts.of(dump.key, dump.version)
            state, why = ("failed", failed.reason) if failed else ("waiting", "")
        else:
            state, why = "in", ""
        rows.append((dump.key, state, why))
    return rows
