"""`tonsai node`: this machine takes part in trainings that another one starts."""

from __future__ import annotations

from typing import Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption


def node(
    num_processes: Annotated[
        int, typer.Option("--num-processes", min=0, help="Processes here; 0 for one per GPU.")
    ] = 0,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help="By which the other machines reach this one; found by itself."
        ),
    ] = None,
    grace_s: Annotated[
        float, typer.Option("--grace-s", min=1.0, help="Seconds for saving when it is stopped.")
    ] = 300.0,
    home: HomeOption = None,
) -> None:
    """Take part in the trainings of a data root that other machines start with `--nodes`, until Ctrl-C.

    The data root must be on storage that the machines share, at the same path. Stopped, it lets the training save a
    checkpoint and go on without it; started in the middle of one, it is taken in after a checkpoint.

    Example: `tonsai run --recipe my.yaml --nodes 1:4` on one machine, `tonsai node` on up to three others
    """
    import signal

    from tonsai_pipeline.storage.data_root import default_root
    from tonsai_pipeline.train.launch.lend import Lender

    # A service manager's way to say Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    Lender(
        home or default_root(),
        address=address,
        num_processes=num_processes,
        grace_s=grace_s,
        say=lambda message: typer.echo(message, err=True),
    ).run()
