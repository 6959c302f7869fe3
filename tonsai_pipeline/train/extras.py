"""What happens beside the steps of a run -> one small face, so that the loop stays short.

    before a step · after a step · after a measurement on held-out text

Every extra is called in all processes, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tonsai_pipeline.model.embeddings import new_token_pieces
from tonsai_pipeline.model.held_out import HeldOut
from tonsai_pipeline.reporting import Reporter
from tonsai_pipeline.train.engine import Engine
from tonsai_pipeline.train.freeze import Freezer
from tonsai_pipeline.train.metrics import Metrics
from tonsai_pipeline.train.plan import BatchPlan
from tonsai_pipeline.train.regression import refuse_rise
from tonsai_pipeline.train.sampling import SampleWriter
from tonsai_pipeline.train.spec import TrainRun


class Extra:
    """Does nothing; subclasses do what they are for."""

    def before_step(self, step: int) -> None:
        """Prepare for the step after `step` steps."""

    def after_step(self, step: int) -> None:
        """Look at the network after `step` steps."""

    def after_validation(self, step: int, found: Mapping[str, HeldOut]) -> None:
        """Look at what was measured after `step` steps."""


def make_extras(
    run: TrainRun,
    engine: Engine,
    plan: BatchPlan,
    base: Mapping[str, HeldOut] | None,
    metrics: Metrics,
    reporter: Reporter,
) -> Sequence[Extra]:
    """Return the extras that a recipe asks for.

    Args:
        run: What is trained.
        engine: The network.
        plan: Its length.
        base: The base model on held-out rows; None: nothing is limited.
        metrics: Where samples go.
        reporter: Told of samples and phases.

    Raises:
        RecipeError: A phase of `train.freeze` names what this network does not have.
    """
    extras: list[Extra] = []
    section = run.train
    if section.freeze:
        new_ids: Sequence[int] = ()
        if run.model.base is not None:
            new_ids = list(
                new_token_pieces(run.model.base, run.model.base_revision, run.tokenizer_dir)
            )
        freezer = Freezer(engine.loss.model, engine.optimizer, section.freeze, new_ids)
        extras.append(_Freeze(freezer, plan.num_steps))
    if base is not None:
        extras.append(_Limit(run, base, plan.num_steps))
    if section.samples.every_steps is not None and engine.rank == 0:
        writer = SampleWriter(run, engine.loss.model, metrics, reporter)
        extras.append(_Samples(writer, section.samples.every_steps, plan.num_steps))
    return extras


class _Freeze(Extra):
    def __init__(self, freezer: Freezer, num_steps: int) -> None:
        self._freezer = freezer
        self._num_steps = num_steps

    def before_step(self, step: int) -> None:
        self._freezer.begin(step / self._num_steps)


class _Limit(Extra):
    def __init__(self, run: TrainRun, base: Mapping[str, HeldOut], num_steps: int) -> None:
        self._section = run.train.regression
        self._base = {language: found.bits_per_byte for language, found in base.items()}
        self._num_steps = num_steps

    def after_validation(self, step: int, found: Mapping[str, HeldOut]) -> None:
        now = {language: numbers.bits_per_byte for language, numbers in found.items()}
        refuse_rise(self._section, self._base, now, step=step, num_steps=self._num_steps)


class _Samples(Extra):
    def __init__(self, writer: SampleWriter, every_steps: int, num_steps: int) -> None:
        self._writer = writer
        self._every_steps = every_steps
        self._num_steps = num_steps

    def after_step(self, step: int) -> None:
        if step == self._num_steps or step % self._every_steps == 0:
            self._writer.write(step)
