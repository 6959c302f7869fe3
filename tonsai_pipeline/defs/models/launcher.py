"""Launch a job from an asset: numbers appear on the asset page while it runs; a cancel lets it save first.

LaunchSpec ──Pipes session──▶ process group ──custom messages──▶ AssetObservation, every few seconds
"""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.reporting import METRICS_KEY, seconds_left
from tonsai_pipeline.storage.job_folder import describe_joined, read_joined
from tonsai_pipeline.train.launch import LaunchResult, LaunchSpec, launch
from tonsai_pipeline.train.launch.rendezvous import Rendezvous

# A Pipes session calls a preview function of Dagster's own: no news for whoever waits for a model.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, module=r"dagster\._core\.pipes")

#: Dagster stores every observation; more than this tells a person nothing.
_OBSERVE_EVERY_S = 5.0


Show = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Is told all numbers known so far, and returns more to tell Dagster: a link to a page with the curve."""


class JobOptions(dg.Config):
    """Settings of a launched job that cannot change its result."""

    num_processes: int = Field(
        default=0, ge=0, le=1024, description="Processes; 0 for one per GPU, or one"
    )
    nodes: str = Field(
        default=os.environ.get("TONSAI_NODES", "1"),
        pattern=r"^[1-9][0-9]{0,3}(:[1-9][0-9]{0,3})?$",
        description="Machines: 2, or 1:4 for one to four; the others run `tonsai node` on the same data root",
    )
    launcher: Literal["torchrun", "deepspeed"] = Field(
        default="torchrun", description="torchrun, or deepspeed with a hostfile for many nodes"
    )
    hostfile: str = Field(
        default="",
        pattern=r"^(?:[A-Za-z0-9][A-Za-z0-9_.-]{0,62})?$",
        description="Name of a hostfile in the folder TONSAI_HOSTFILES, for the deepspeed launcher",
    )
    resume: Literal["auto", "never", "required"] = Field(
        default="auto", description="Go on from the newest whole checkpoint of the same work"
    )
    max_retries: int = Field(
        default=1,
        ge=0,
        le=20,
        description="Starts after a crash or a hang, each from the newest checkpoint; an error that the job "
        "itself names is not tried again",
    )
    grace_s: float = Field(
        default=300.0, gt=0, le=3600, description="Seconds for saving after a cancel"
    )
    force: bool = Field(default=False, description="Do the work again even if it is finished")

    def spec(self, module: str, run_file: Path, output_dir: Path) -> LaunchSpec:
        """Say what to start.

        Raises:
            TrainError: The number of machines is not one, or is said in two ways.
        """
        rendezvous = Rendezvous.parse(self.nodes)
        if rendezvous is not None and self.launcher == "deepspeed":
            raise TrainError("nodes are torchrun's; the deepspeed launcher takes a hostfile")
        return LaunchSpec(
            module,
            run_file,
            output_dir,
            num_processes=self.num_processes,
            launcher=self.launcher,
            hostfile=find_hostfile(self.hostfile) if self.hostfile else None,
            rendezvous=rendezvous,
        )


def find_hostfile(name: str) -> Path:
    """Return the hostfile of that name in the folder that TONSAI_HOSTFILES names.

    Raises:
        TrainError: There is no such folder or file.
    """
    folder = os.environ.get("TONSAI_HOSTFILES")
    if not folder:
        raise TrainError(f"hostfile '{name}': set TONSAI_HOSTFILES to the folder of your hostfiles")
    path = Path(folder) / name
    # A link would be a way out of the folder.
    if not path.is_file() or path.resolve().parent != Path(folder).resolve():
        raise TrainError(f"hostfile '{name}': no such file in {folder} (TONSAI_HOSTFILES)")
    return path


def launch_job(
    context: dg.AssetExecutionContext,
    spec: LaunchSpec,
    options: JobOptions,
    show: Show | None = None,
) -> LaunchResult:
    """Run a job to its end and show its numbers on the asset page as they come.

    Args:
        context: The asset.
        spec: What to start.
        options: The launch form.
        show: Draws what the newest numbers do not say; None for nothing more.

    A crash is followed by another start here and not by Dagster's retry policy, which would also retry a
    run that a person cancels. So is a stop of a training of several machines that nobody here asked for: one of them
    left, or another one comes; those are not counted.

    Raises:
        TrainError: The job did not finish; the message says where it can go on.
    """
    num_left = options.max_retries
    if spec.rendezvous is not None:
        context.log.info(
            "%s machines train in %s: run `tonsai node` on the others, with the same data root",
            spec.rendezvous.nodes,
            spec.output_dir,
        )
    while True:
        result = _launch_once(context, spec, options.grace_s, show)
        if result.state == "interrupted" and spec.rendezvous is not None:
            context.log.info("a machine came or left; going on at step %s", result.status["step"])
            continue
        if not result.may_retry or not num_left:
            result.raise_for_failure()
            return result
        reason = result.failure.get("message") or f"exit code {result.exit_code}"
        context.log.warning(
            "the job ended (%s); starting it again from its newest checkpoint, %d tries left",
            reason,
            num_left,
        )
        num_left -= 1


def _launch_once(
    context: dg.AssetExecutionContext, spec: LaunchSpec, grace_s: float, show: Show | None
) -> LaunchResult:
    with dg.open_pipes_session(
        context=context,
        context_injector=dg.PipesTempFileContextInjector(),
        message_reader=dg.PipesTempFileMessageReader(),
    ) as session:
        observer = _Observer(context, session, show, spec)
        result = launch(
            spec, env=session.get_bootstrap_env_vars(), on_poll=observer.poll, grace_s=grace_s
        )
        observer.poll()
        observer.flush()
    return result


def copy_out(source: Path, target: Path) -> None:
    """Copy a folder of the store to where a person asked for it: theirs to edit, with ordinary modes.

    A file system that can shares the blocks until one side changes (copy_file_range, as `shutil` uses it).
    """
    for path in sorted(source.rglob("*")):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.unlink(missing_ok=True)
            shutil.copyfile(path, copy)


class _Observer:
    """Turns the numbers known so far into an observation of the asset, now and then."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        session: Any,
        show: Show | None,
        spec: LaunchSpec,
    ) -> None:
        self._context = context
        self._session = session
        self._show = show
        self._spec = spec
        self._has_met = spec.rendezvous is None
        self._num_seen = 0
        self._known: dict[str, Any] = {}
        self._is_new = False
        self._began: tuple[int, float] | None = None
        self._observed_at = 0.0

    def poll(self) -> None:
        """Read new messages; observe at most every few seconds."""
        if not self._has_met and (joined := read_joined(self._spec.output_dir)):
            self._has_met = True
            self._known["machines"] = describe_joined(joined)
            self._context.log.info("%s", self._known["machines"])
        messages = self._session.get_custom_messages()
        fresh = [m[METRICS_KEY] for m in messages[self._num_seen :] if METRICS_KEY in m]
        self._num_seen = len(messages)
        for numbers in fresh:
            self._known |= numbers
            self._is_new = True
        if fresh and self._began is None:
            self._began = (self._known["step"], time.monotonic())
        if time.monotonic() - self._observed_at >= _OBSERVE_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Observe what is known, if any of it is new."""
        if not self._is_new:
            return
        numbers = {**self._known, **self._left()}
        shown = {} if self._show is None else self._show(numbers)
        self._context.log_event(
            dg.AssetObservation(asset_key=self._context.asset_key, metadata={**shown, **numbers})
        )
        self._is_new, self._observed_at = False, time.monotonic()

    def _left(self) -> dict[str, str]:
        """Return the time left at the speed since this start."""
        of, (first, began) = self._known.get("of"), self._began or (0, 0.0)
        if of is None:
            return {}
        step = self._known["step"]
        left_s = seconds_left(step - first, of - step, time.monotonic() - began)
        return {} if left_s is None else {"time_left": str(timedelta(seconds=round(left_s)))}
