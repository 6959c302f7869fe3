"""Run assets through Dagster in this process, with the instance that the web UI reads.

recipe, selection ──run_graph──▶ what is missing: dumps, twenty a run; one run for the rest ──▶ the same history in the UI
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.markup import escape

from tonsai_pipeline import errors
from tonsai_pipeline.defs import resources
from tonsai_pipeline.defs.alive import report_lost
from tonsai_pipeline.defs.graph import PAGES, build_definitions
from tonsai_pipeline.defs.inbox import look_at_inbox
from tonsai_pipeline.defs.recipe_graph import Graph, catalog_key
from tonsai_pipeline.defs.resources import Workspace, open_instance, own_instance_folder
from tonsai_pipeline.defs.stage_asset import Made, is_good
from tonsai_pipeline.errors import RecipeError, StorageError, TonsaiError
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.missing import DUMP_ASSETS, find_missing
from tonsai_pipeline.pipeline import CATALOG, PIPELINE
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.layout import origin_url
from tonsai_pipeline.storage.store import Artifact

#: Metadata shown on the terminal after an asset's name, in this order.
_HEADLINES = (
    "num_dumps", "num_documents", "num_bad_rows", "num_rejected", "num_kept", "num_dropped",
    "num_train_documents", "vocab_size", "num_rows", "num_packed_tokens", "num_parameters", "num_steps",
    "val_bpb_khm", "val_bpb_eng",
)  # fmt: skip
#: A run costs about a second; a line appears when it ends.
_DUMPS_PER_RUN = 20
#: More are a line together.
_SHOWN_DUMPS = 20
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_OUR_ERRORS = {kind.__name__ for kind in vars(errors).values() if isinstance(kind, type)}
_FAILED_CHECK = "DagsterAssetCheckFailedError"
#: What a step fails with that SIGTERM ended.
_ENDED = "DagsterExecutionInterruptedError"


@dataclass(frozen=True)
class GraphOptions:
    """Settings of a run that cannot change its result."""

    home: Path | None = None
    data: Path | None = None
    num_workers: int = 0
    engine: str = "local"
    force: bool = False
    num_processes: int = 0
    nodes: str = "1"


def open_workspace(recipe_name: str, options: GraphOptions) -> tuple[Recipe, Workspace]:
    """Load the recipe and decide where its data lies.

    Raises:
        RecipeError: There is no such recipe, or several are named at once.
    """
    if "," in recipe_name:
        raise RecipeError(
            f"'{recipe_name}' names several recipes, which the web UI shows side by side; a command takes one: "
            "--recipe NAME"
        )
    recipe, workspace = resources.open_workspace(recipe_name, root=options.home, data=options.data)
    _check_root(workspace.store(recipe).layout.root)
    return recipe, workspace


def ui_command(recipe_name: str, options: GraphOptions) -> str:
    """Return the command that shows the runs of these options in the web UI, from this folder; ask before they run."""
    named = {
        "TONSAI_RECIPE": recipe_name if recipe_name != "demo" else None,
        "TONSAI_HOME": options.home and (origin_url(options.home) or options.home.absolute()),
        "TONSAI_DATA": options.data and options.data.absolute(),
        "DAGSTER_HOME": own_instance_folder(options.home),
    }
    variables = [f"{name}={shlex.quote(str(value))}" for name, value in named.items() if value]
    is_project = Path("workspace.yaml").is_file()
    program = "uv run dagster dev" if is_project else "dagster dev -m tonsai_pipeline.definitions"
    return " ".join([*variables, program])


def _check_root(root: Path) -> None:
    """Find out before any work whether the data root can be written."""
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    if not place.is_dir():
        raise StorageError(
            f"data root {root}: {place} is a file; set TONSAI_HOME or --home to a folder"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise StorageError(
            f"data root {root}: {place} may not be written; set TONSAI_HOME or --home to a folder of your own"
        )


def open_reader(recipe: Recipe, workspace: Workspace) -> Builder:
    """Return a builder for looking: artifacts of the recipe as it is and the dumps of its catalog."""
    return Graph(recipe, workspace).reader()


def run_graph(
    recipe: Recipe, workspace: Workspace, options: GraphOptions, select: Sequence[str] = ()
) -> None:
    """Bring assets up to date: the catalog, then every dump, then the rest. What is made already asks for no run.

    Args:
        recipe: The settings.
        workspace: Where data lies.
        options: Settings that cannot change the result.
        select: Asset names, made with all that they are made from; with `force` they alone; empty for all.

    Raises:
        RecipeError: An asset name is unknown.
        TonsaiError: An asset failed, or a check that keeps others from running; the message is the asset's own.
    """
    chosen = _chosen(recipe, select, alone=options.force)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    layout = workspace.store(recipe).layout
    with open_instance(layout.root) as instance:
        report_lost(layout.alive, instance)
        run = _Runner(Graph(recipe, workspace), instance, options, console)
        if recipe.sources:
            run.catalog()
        if dump_assets := [name for name in DUMP_ASSETS if name in chosen]:
            run.dumps(dump_assets)
        run.corpus(
            [s.name for s in PIPELINE.assets(recipe) if not s.each_dump and s.name in chosen]
        )


def _chosen(recipe: Recipe, select: Sequence[str], *, alone: bool) -> set[str]:
    known = (CATALOG, *(stage.name for stage in PIPELINE.assets(recipe)))
    if unknown := [name for name in select if name not in known]:
        raise RecipeError(
            f"--select: unknown asset {', '.join(unknown)}; assets are: {', '.join(known)}"
        )
    if not select:
        return set(known)
    return set(select) if alone else set(PIPELINE.up_to(*select, recipe=recipe))


class _Runner:
    """Runs what is missing through Dagster and prints a line for every asset."""

    def __init__(
        self,
        graph: Graph,
        instance: dg.DagsterInstance,
        options: GraphOptions,
        console: Console,
    ) -> None:
        self._graph = graph
        self._definitions = build_definitions(graph.recipe, graph.workspace)
        self._job = self._definitions.resolve_implicit_global_asset_job_def()
        self._instance = instance
        self._options = options
        self._console = console
        self._said: set[tuple[str, str]] = set()

    def catalog(self) -> None:
        """Make the catalog anew if it is not what is there now."""
        graph = self._graph
        found = graph.find_dumps()
        current = graph.current_catalog()
        known = set(self._instance.get_dynamic_partitions(str(graph.dumps.name)))
        is_known = all(dump.key in known for dump in found.enabled)
        if current is None or not is_known or current.manifest.fingerprint != catalog_key(found):
            self._run([CATALOG])
        else:
            self._line(CATALOG, None, {**current.report, "cached": True})
            for problem in current.report["problems"]:
                self._say("yellow", "check", f"{CATALOG}.inbox_is_understood: {problem}")
        for dump, reason in found.set_aside.items():
            self._say("yellow", "left out", f"{dump}: {reason}; back with: {_way_back(dump)}")

    def dumps(self, names: list[str]) -> None:
        """Bring every dump up to date, many in a run; one that fails does not keep the others from it.

        Raises:
            TonsaiError: A dump failed for good, and the recipe says to stop.
        """
        reader = self._graph.reader(of_catalog=False)
        missing = find_missing(reader, chosen=names, is_good=_is_good)
        waiting = list(reader.dumps.versions if self._options.force else missing.dumps)
        self._show_dumps(reader, names, [d for d in reader.dumps.versions if d not in waiting])
        waiting = [dump for dump in waiting if dump not in missing.stopped]
        for start in range(0, len(waiting), _DUMPS_PER_RUN):
            self._run_dumps(waiting[start : start + _DUMPS_PER_RUN], names)
        if waiting:
            self._instance.report_runless_asset_event(look_at_inbox(self._graph, PAGES))
        reader = self._graph.reader(of_catalog=False)
        missing = find_missing(reader, chosen=names, is_good=_is_good)
        if missing.stopped:
            said = "; ".join(f"{dump}: {reason}" for dump, reason in missing.stopped.items())
            raise TonsaiError(
                f"{len(missing.stopped)} dumps failed: {said}. The others are done. Mend what is named and run again, "
                "or go on without them: tonsai dumps remove <key>"
            )
        if list(self._graph.reader().dumps.versions) != list(reader.dumps.versions):
            self.catalog()

    def corpus(self, names: list[str]) -> None:
        """Bring assets of the whole corpus up to date; a check that blocks stops here as it does in a run."""
        reader = self._graph.reader()
        missing = find_missing(reader, chosen=names)
        lacking = {*missing.corpus, *missing.models, *missing.instructions, *missing.releases}
        first = next((name for name in names if name in lacking), None)
        start = 0 if self._options.force else names.index(first) if first else len(names)
        for name in names[:start]:
            self._show(reader, name, None)
            made = Made(reader.build(name), reader)
            if (failed := PAGES[name].blocked(made)) is not None:
                raise TonsaiError(f"{name}.{failed.check_name}: {failed.description}")
        if names[start:]:
            self._run(names[start:])

    def _show_dumps(self, reader: Builder, names: list[str], dumps: Sequence[DumpKey]) -> None:
        """Show what is made; of many dumps in a line an asset."""
        for name in names:
            if len(dumps) > _SHOWN_DUMPS:
                self._line(name, f"{len(dumps):,} dumps", {"cached": True})
                continue
            for dump in dumps:
                self._show(reader, name, dump)

    def _show(self, reader: Builder, name: str, dump: DumpKey | None) -> None:
        artifact = reader.find(name, dump)
        assert artifact is not None, "it was found just now"
        self._line(name, dump, {**artifact.report, "cached": True})
        self._show_checks(name, PAGES[name].checks(Made(artifact, reader, dump)))

    def _run_dumps(self, dumps: Sequence[str], names: Sequence[str]) -> None:
        """Run many dumps at once; the ledger of attempts knows which of them failed.

        Raises:
            TonsaiError: What failed is not one of the dumps: the disk is full.
        """
        config = {**self._config(DUMP_ASSETS[0]), "once": True}
        op = f"{self._graph.prefix}__dumps"
        started = time.monotonic()
        # A recipe without a corpus has no such job, and does not come here.
        job = self._definitions.resolve_job_def(f"{self._graph.prefix}__ingest_dumps")
        result = job.execute_in_process(
            run_config={
                "ops": {op: {"config": {**config, "dumps": list(dumps), "assets": list(names)}}},
                **_QUIET,
            },
            instance=self._instance,
            raise_on_error=False,
        )
        self._show_result(result, started)
        if not result.success:
            error = _cause(result)
            if not _is_of_dumps(result):
                raise error
            self._say("red", "failed", str(error))

    def _run(self, names: Sequence[str]) -> None:
        """Run one selection; raise what the asset raised."""
        started = time.monotonic()
        result = self._job.execute_in_process(
            run_config={
                "ops": {
                    f"{self._graph.prefix}__{name}": {"config": self._config(name)}
                    for name in names
                    if name != CATALOG
                },
                **_QUIET,
            },
            instance=self._instance,
            asset_selection=[self._graph.key(name) for name in names],
            raise_on_error=False,
        )
        self._show_result(result, started)
        if not result.success:
            raise _cause(result)

    def _show_result(self, result: dg.ExecuteInProcessResult, started: float) -> None:
        for event in result.get_asset_materialization_events():
            self._print(event, time.monotonic() - started)
        for check in result.get_asset_check_evaluations():
            self._show_checks(check.asset_key.path[-1], [check])

    def _config(self, name: str) -> dict[str, Any]:
        """Return the launch form of an asset: jobs have processes, stages have workers."""
        options = self._options
        if PIPELINE[name].launched:
            return {
                "num_processes": options.num_processes,
                "nodes": options.nodes,
                "force": options.force,
            }
        return {
            "num_workers": options.num_workers,
            "engine": options.engine,
            "force": options.force,
        }

    def _print(self, event: dg.DagsterEvent, elapsed_s: float) -> None:
        materialization = event.materialization
        facts = {name: entry.value for name, entry in materialization.metadata.items()}
        facts.setdefault("elapsed_s", elapsed_s)
        self._line(materialization.asset_key.path[-1], materialization.partition, facts)

    def _line(self, asset: str, partition: str | None, facts: Mapping[str, Any]) -> None:
        where = f"\\[{partition}]" if partition else ""
        state = "[dim]cached[/dim]" if facts.get("cached") else "[green]made[/green]  "
        seconds = "" if facts.get("cached") else f"{facts['elapsed_s']:7.1f} s"
        numbers = "  ".join(_headline(name, facts[name]) for name in _HEADLINES if name in facts)
        self._console.print(
            f"  {state} {asset + where:<52} {seconds:>9}  [dim]{numbers}[/dim]", markup=True
        )

    def _show_checks(self, asset: str, checks: Iterable[Any]) -> None:
        for check in checks:
            if not check.passed:
                color = "yellow" if check.severity == dg.AssetCheckSeverity.WARN else "red"
                self._say(color, "check", f"{asset}.{check.check_name}: {check.description}")

    def _say(self, color: str, what: str, text: str) -> None:
        """Print a line; once, because the catalog is looked at before the dumps and again behind them."""
        if (what, text) not in self._said:
            self._said.add((what, text))
            self._console.print(f"  [{color}]{what}[/{color}]  {escape(text)}")


def _is_good(builder: Builder, name: str, dump: DumpKey, artifact: Artifact) -> bool:
    return is_good(PAGES, builder, name, dump, artifact)


def _way_back(dump: str) -> str:
    source, _, date = dump.rpartition("@")
    return f"tonsai dumps add {source} --date {date}"


def _headline(name: str, value: Any) -> str:
    label = name.removeprefix("num_").replace("_", " ")
    return f"{label} {value:,}" if isinstance(value, int) else f"{label} {value:.4g}"


def _is_of_dumps(result: dg.ExecuteInProcessResult) -> bool:
    """Tell whether a run failed because dumps did, each of which it has noted."""
    return any(
        link.cls_name == dg.Failure.__name__ for _, chain in _failures(result) for link in chain
    )


def _failures(result: dg.ExecuteInProcessResult) -> Iterator[tuple[dg.DagsterEvent, list[Any]]]:
    """Yield what failed in a run, and its errors from the outermost to the first."""
    for event in result.get_step_failure_events():
        chain, error = [], event.step_failure_data.error
        while error is not None:
            chain.append(error)
            error = error.cause
        yield event, chain


def _cause(result: dg.ExecuteInProcessResult) -> TonsaiError:
    """Find the error that a person should read among a failed run's events: ours, or else the innermost.

    Raises:
        KeyboardInterrupt: The run was ended from outside, which is nobody's error.
    """
    for event, chain in _failures(result):
        if any(link.cls_name == _ENDED for link in chain):
            raise KeyboardInterrupt
        ours = next((link for link in chain if link.cls_name in _OUR_ERRORS), None)
        if ours is None and any(link.cls_name == _FAILED_CHECK for link in chain):
            break
        if chain:
            message = (ours or chain[-1]).message.strip()
            asset = event.step_key.rpartition("__")[2] if event.step_key else "run"
            for prefix in ("tonsai_pipeline.errors.", "dagster._core.definitions.events.Failure: "):
                message = message.removeprefix(prefix)
            return TonsaiError(f"{asset}: {message}")
    failed = [c for c in result.get_asset_check_evaluations() if not c.passed and c.blocking]
    said = "; ".join(f"{c.asset_key.path[-1]}.{c.check_name}: {c.description}" for c in failed)
    return TonsaiError(said or "the run failed; see the UI for its log")
