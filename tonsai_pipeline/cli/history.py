"""`tonsai history`: which runs of Dagster's history are old; deletes them only when asked to."""

from __future__ import annotations

from typing import Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption


def history(
    keep_days: Annotated[
        float, typer.Option("--keep-days", min=0.0, help="Days of history to keep.")
    ] = 90.0,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete them; without it nothing is touched.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Say which runs of Dagster's history are old, and delete them with their events and logs with `--delete`.

    Runs that hold the newest event of an asset or a partition stay, whatever their age. Artifacts are never touched;
    see `tonsai gc` for those. `dagster dev` may run meanwhile.
    """
    from tonsai_pipeline.defs.history import old_runs, prune
    from tonsai_pipeline.defs.resources import open_instance

    with open_instance(home) as instance:
        runs = old_runs(instance, keep_days)
        for job in sorted({run.job_name for run in runs}):
            typer.echo(f"{sum(run.job_name == job for run in runs):>8,}  {job}")
        if delete:
            prune(instance, runs)
        done = "deleted" if delete else "may go; the same command with --delete deletes them"
        typer.echo(f"{len(runs):,} finished runs older than {keep_days:g} days {done}")
