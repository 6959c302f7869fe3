"""Run assets through Dagster in this process, with the instance that the web UI reads.

recipe, selection ──run_graph──▶ one run a dump, then one run for the rest ──▶ the same history in the UI
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console

from tonsai_pipeline import errors
from tonsai_pipeline.defs.graph import build_definitions
from tonsai_pipeline.defs.jobs import CORPUS_ASSETS, DUMP_ASSETS, MODEL_ASSETS
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.errors import RecipeError, TonsaiError
from tonsai_pipeline.recipe import Recipe, find_recipe, load_recipe
from tonsai_pipeline.stages.catalog import read_catalog

#: Metadata shown on the terminal after an asset's name, in this order.
_HEADLINES = (
    "num_dumps", "num_documents", "num_bad_rows", "num_rejected", "num_kept", "num_dropped",
    "num_train_documents", "vocab_size", "num_rows", "num_packed_tokens", "num_parameters", "num_steps",
    "val_bpb_khm", "val_bpb_eng",
)  # fmt: skip
_INSTANCE_FILE = "dagster.yaml"


_OUR_ERRORS = {kind.__name__ for kind in vars(errors).values() if isinstance(kind, type)}
_FAILED_CHECK = "DagsterAssetCheckFailedError"


@dataclass(frozen=True)
class GraphOptions:
    """Settings of a run that cannot change its result."""

    home: Path | None = None
    data: Path | None = None
    num_workers: int = 0
    engine: str = "local"
    force: bool = False
    num_processes: int = 0


def open_instance() -> dg.DagsterInstance:
    """Open the persistent Dagster instance: DAGSTER_HOME, or `dagster.yaml` in the working folder.

    Raises:
        RecipeError: There is neither, so the history would be lost.
    """
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    if os.environ.get("DAGSTER_HOME"):
        return dg.DagsterInstance.get()
    if Path(_INSTANCE_FILE).is_file():
        return dg.DagsterInstance.from_config(str(Path.cwd()), _INSTANCE_FILE)
    raise RecipeError(
        f"no {_INSTANCE_FILE} in {Path.cwd()} and DAGSTER_HOME is not set: run from the project's folder, "
        "or set DAGSTER_HOME to a folder of your own"
    )


def open_workspace(recipe_name: str, options: GraphOptions) -> tuple[Recipe, Workspace]:
    """Load the recipe and decide where its data lies."""
    recipe = load_recipe(recipe_name)
    data = options.data or find_recipe(recipe_name).parent
    home = str(options.home.absolute()) if options.home else ""
    return recipe, Workspace(root=home, data=str(data.absolute()))


def run_graph(
    recipe: Recipe, workspace: Workspace, options: GraphOptions, select: Sequence[str] = ()
) -> None:
    """Materialize assets: the catalog, then every dump, then the rest.

    Args:
        recipe: The settings.
        workspace: Where data lies.
        options: Settings that cannot change the result.
        select: Asset names; empty for all.

    Raises:
        RecipeError: An asset name is unknown.
        TonsaiError: An asset failed; the message is the asset's own.
    """
    chosen = _chosen(select)
    definitions = build_definitions(recipe, workspace)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with open_instance() as instance:
        run = _Runner(definitions, instance, options, console)
        run.assets(["dump_catalog"])
        if dump_assets := [name for name in DUMP_ASSETS if name in chosen]:
            run.dumps(
                dump_assets, list(read_catalog(workspace.store(recipe).current("dump_catalog")))
            )
        rest = [name for name in (*CORPUS_ASSETS[1:], *MODEL_ASSETS) if name in chosen]
        if rest:
            run.assets(rest)


def _chosen(select: Sequence[str]) -> set[str]:
    known = (*CORPUS_ASSETS, *DUMP_ASSETS, *MODEL_ASSETS)
    if unknown := [name for name in select if name not in known]:
        raise RecipeError(
            f"--select: unknown asset {', '.join(unknown)}; assets are: {', '.join(known)}"
        )
    return set(select or known)


class _Runner:
    """Runs selections of one job and prints a line for every asset that was made."""

    def __init__(
        self,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        options: GraphOptions,
        console: Console,
    ) -> None:
        self._job = definitions.resolve_implicit_global_asset_job_def()
        self._instance = instance
        self._options = options
        self._console = console

    def dumps(self, names: list[str], keys: list[str]) -> None:
        """Run every dump; one that fails does not keep the others from running."""
        failed = {}
        for key in keys:
            try:
                self.assets(names, partition=key)
            except TonsaiError as error:
                failed[key] = error
                self._console.print(f"  [red]failed[/red] {key}: {error}")
        if failed:
            others = "The others are done. " if len(failed) < len(keys) else ""
            raise TonsaiError(
                f"{len(failed)} of {len(keys)} dumps failed: {', '.join(failed)}. {others}Mend what is named above "
                "and run again, or go on without them: tonsai dumps remove <key>"
            )

    def assets(self, names: list[str], partition: str | None = None) -> None:
        """Run one selection; raise what the asset raised."""
        config: dict[str, Any] = {
            "ops": {
                name: {"config": self._config(name)} for name in names if name != "dump_catalog"
            },
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }
        started = time.monotonic()
        result = self._job.execute_in_process(
            run_config=config,
            instance=self._instance,
            asset_selection=[dg.AssetKey(name) for name in names],
            partition_key=partition,
            raise_on_error=False,
        )
        for event in result.get_asset_materialization_events():
            self._print(event, partition, time.monotonic() - started)
        self._print_warnings(result)
        if not result.success:
            raise _cause(result)

    def _config(self, name: str) -> dict[str, Any]:
        """Return the launch form of an asset: jobs have processes, stages have workers."""
        options = self._options
        if name in MODEL_ASSETS:
            return {"num_processes": options.num_processes, "force": options.force}
        return {
            "num_workers": options.num_workers,
            "engine": options.engine,
            "force": options.force,
        }

    def _print(self, event: dg.DagsterEvent, partition: str | None, elapsed_s: float) -> None:
        materialization = event.materialization
        facts = {name: entry.value for name, entry in materialization.metadata.items()}
        where = f"\\[{partition}]" if partition else ""
        state = "[dim]cached[/dim]" if facts.get("cached") else "[green]made[/green]  "
        seconds = "" if facts.get("cached") else f"{facts.get('elapsed_s', elapsed_s):7.1f} s"
        numbers = "  ".join(_headline(name, facts[name]) for name in _HEADLINES if name in facts)
        name = materialization.asset_key.to_user_string() + where
        self._console.print(f"  {state} {name:<52} {seconds:>9}  [dim]{numbers}[/dim]", markup=True)

    def _print_warnings(self, result: dg.ExecuteInProcessResult) -> None:
        for check in result.get_asset_check_evaluations():
            if not check.passed:
                color = "yellow" if check.severity == dg.AssetCheckSeverity.WARN else "red"
                self._console.print(
                    f"  [{color}]check[/{color}]  {check.asset_key.to_user_string()}.{check.check_name}: "
                    f"{check.description}"
                )


def _headline(name: str, value: Any) -> str:
    label = name.removeprefix("num_").replace("_", " ")
    return f"{label} {value:,}" if isinstance(value, int) else f"{label} {value:.4g}"


def _cause(result: dg.ExecuteInProcessResult) -> TonsaiError:
    """Find the error that a person should read among a failed run's events: ours, or else the innermost."""
    for event in result.get_step_failure_events():
        chain, error = [], event.step_failure_data.error
        while error is not None:
            chain.append(error)
            error = error.cause
        ours = next((link for link in chain if link.cls_name in _OUR_ERRORS), None)
        if ours is None and any(link.cls_name == _FAILED_CHECK for link in chain):
            break
        if chain:
            message = (ours or chain[-1]).message.strip()
            return TonsaiError(
                f"{event.step_key}: {message.removeprefix('tonsai_pipeline.errors.')}"
            )
    failed = [c for c in result.get_asset_check_evaluations() if not c.passed and c.blocking]
    said = "; ".join(
        f"{c.asset_key.to_user_string()}.{c.check_name}: {c.description}" for c in failed
    )
    return TonsaiError(said or "the run failed; see the UI for its log")
