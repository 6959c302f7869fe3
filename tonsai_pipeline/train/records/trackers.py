"""Views of a run's numbers beside `metrics.jsonl`: TensorBoard, trackio, wandb.

    (kind, step, numbers), texts ──Tracker──▶ event files · a local database · a wandb run, on this disk or online

A tracker's package is imported only when a recipe names it. What a tracker cannot take never stops a run: it is
logged once, and that tracker is left.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.train import MetricsConfig


class Tracker(Protocol):
    """A view of the numbers."""

    name: str

    def reopen(self, step: int) -> None:
        """Begin, or begin again after a resume: what came after `step` is written once more."""
        ...

    def numbers(self, step: int, numbers: Mapping[str, float]) -> None:
        """Show numbers by name, measured after `step` steps."""
        ...

    def text(self, step: int, name: str, text: str) -> None:
        """Show a text, written after `step` steps."""
        ...

    def close(self) -> None:
        """Flush."""
        ...


def check_trackers(section: MetricsConfig) -> None:
    """Refuse a recipe whose trackers are not installed, before anything is built.

    Raises:
        RecipeError: A package is missing; the message names the extra.
    """
    for name in section.trackers:
        if importlib.util.find_spec(name) is None:
            raise RecipeError(
                f"train.metrics.trackers: {name} is not installed; it is an extra of this package: "
                f"`uv sync --extra {name}`, or `pip install tonsai-pipeline[{name}]`"
            )


def open_trackers(
    section: MetricsConfig,
    output_dir: Path,
    *,
    fingerprint: str,
    settings: Callable[[], Mapping[str, Any]],
) -> list[Tracker]:
    """Make the views that a recipe asks for; they write nothing before `reopen`.

    Args:
        section: Which.
        output_dir: The run's folder.
        fingerprint: Name of the run's work: a resumed run goes on in the same place.
        settings: Gives what a tracker shows as the run's configuration; called only where one is opened.
    """
    found: list[Tracker] = []
    if section.tensorboard:
        found.append(TensorBoard(output_dir / "tensorboard"))
    if "wandb" in section.trackers:
        found.append(Wandb(section, output_dir, fingerprint, settings))
    if "trackio" in section.trackers:
        found.append(Trackio(section, fingerprint, settings))
    return found


class Guarded:
    """A tracker whose failures are logged once and end it, and nothing else.

    Args:
        tracker: The view.
        on_trouble: Gets a message why it was left.
    """

    def __init__(self, tracker: Tracker, on_trouble: Callable[[str], object]) -> None:
        self.name = tracker.name
        self._tracker: Tracker | None = tracker
        self._on_trouble = on_trouble

    def call(self, do: Callable[[Tracker], object]) -> None:
        """Do something with the tracker, if it still works."""
        if self._tracker is None:
            return
        try:
            do(self._tracker)
        except Exception as error:  # noqa: BLE001  # their networks and disks fail in many ways; training goes on
            self._tracker = None
            self._on_trouble(f"{self.name} is left, metrics.jsonl goes on: {error!r}")


class TensorBoard:
    """Event files."""

    name = "tensorboard"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def reopen(self, step: int) -> None:
        """Begin event files that replace what earlier ones say of later steps."""
        self.close()
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=step + 1)

    def numbers(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add scalars."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def text(self, step: int, name: str, text: str) -> None:
        """Add a text; four spaces keep it from being read as Markdown."""
        self._writer.add_text(name, "\n".join(f"    {line}" for line in text.splitlines()), step)

    def close(self) -> None:
        """Flush."""
        if self._writer is not None:
            self._writer.close()


class _Online(ABC):
    """A run in a service that knows it again by its name; it is opened once, whatever is resumed."""

    def __init__(
        self, section: MetricsConfig, fingerprint: str, settings: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._section = section
        self._fingerprint = fingerprint
        self._settings = settings
        self._run: Any = None

    def reopen(self, step: int) -> None:
        """Go on in the run of the same work."""
        del step
        if self._run is None:
            self._run = self._open()

    def numbers(self, step: int, numbers: Mapping[str, float]) -> None:
        """Log numbers."""
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        """Finish; what is not sent stays on the disk."""
        if self._run is not None:
            self._run.finish()

    @abstractmethod
    def _open(self) -> Any:
        """Begin the service's run, or find it again."""


class Wandb(_Online):
    """A run of Weights & Biases, online or in a folder for `wandb sync`; steps made again are left out by wandb."""

    name = "wandb"

    def __init__(
        self,
        section: MetricsConfig,
        output_dir: Path,
        fingerprint: str,
        settings: Callable[[], Mapping[str, Any]],
    ) -> None:
        super().__init__(section, fingerprint, settings)
        self._output_dir = output_dir

    def text(self, step: int, name: str, text: str) -> None:
        """Log a table of one text."""
        wandb = importlib.import_module("wandb")
        self._run.log({name: wandb.Table(columns=["text"], data=[[text]])}, step=step)

    def _open(self) -> Any:
        return importlib.import_module("wandb").init(
            project=self._section.tracker_project,
            id=self._fingerprint[:32],
            name=self._fingerprint[:12],
            dir=str(self._output_dir),
            config=dict(self._settings()),
            resume="allow",
            mode="offline" if self._section.tracker_offline else None,
        )


class Trackio(_Online):
    """A run of trackio, in its database on this machine (`trackio show`); steps made again stand there twice."""

    name = "trackio"

    def text(self, step: int, name: str, text: str) -> None:
        """Log a text."""
        self._run.log({name: text}, step=step)

    def _open(self) -> Any:
        return importlib.import_module("trackio").init(
            project=self._section.tracker_project,
            name=self._fingerprint[:12],
            config=dict(self._settings()),
            resume="allow",
            embed=False,
        )


def flatten(numbers: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Nested numbers -> ("khm/loss", 3.2) pairs; text and lists are left out.

    Example:
        >>> flatten({"khm": {"loss": 3.2}, "message": "hello"}, "validation/")
        [('validation/khm/loss', 3.2)]
    """
    flat: list[tuple[str, float]] = []
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            flat += flatten(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat.append((f"{prefix}{name}", float(value)))
    return flat


def as_text(sample: Mapping[str, Any]) -> str:
    """Join the prompt of a sample and what was written after it."""
    return f"{sample['prompt']} | {sample['text']}"


def names_of(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each sample, the same at each step.

    Example:
        >>> names_of([{"language": "khm"}, {"language": "khm"}, {"language": "eng"}])
        ['sample/khm/0', 'sample/khm/1', 'sample/eng/0']
    """
    seen: dict[str, int] = {}
    names = []
    for sample in samples:
        number = seen.get(sample["language"], 0)
        seen[sample["language"]] = number + 1
        names.append(f"sample/{sample['language']}/{number}")
    return names
