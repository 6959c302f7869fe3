"""A recipe -> the callbacks of its run, in the order in which they are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tonsai_pipeline.model.embeddings import map_tokens
from tonsai_pipeline.model.held_out import open_validation
from tonsai_pipeline.train.assemble import Setup
from tonsai_pipeline.train.callbacks.averaging import Averaging
from tonsai_pipeline.train.callbacks.callback import Callback
from tonsai_pipeline.train.callbacks.early_signal import EarlySignal
from tonsai_pipeline.train.callbacks.freezing import Freezing
from tonsai_pipeline.train.callbacks.guards import Guards
from tonsai_pipeline.train.callbacks.limits import Limits
from tonsai_pipeline.train.callbacks.progress import Progress
from tonsai_pipeline.train.callbacks.samples import Samples
from tonsai_pipeline.train.callbacks.saving import Saving
from tonsai_pipeline.train.callbacks.validation import Validation
from tonsai_pipeline.train.checkpoints.checkpoint import Checkpoints
from tonsai_pipeline.train.checkpoints.uploader import UploadReport
from tonsai_pipeline.train.spec import TrainRun


def make_callbacks(
    run: TrainRun,
    setup: Setup,
    checkpoints: Checkpoints,
    uploads: Callable[[], UploadReport] | None,
) -> Sequence[Callback]:
    """Return what a recipe asks for.

    Args:
        run: What is trained.
        setup: The network and the plan.
        checkpoints: Where states go, and come from at a rollback.
        uploads: See `Progress`.

    Raises:
        RecipeError: A phase of `train.freeze` names what this network does not have.
        DataError: There are no held-out rows.
    """
    section, backend = run.train, setup.backend
    validation = Validation(open_validation(run.shards_dir))
    callbacks: list[Callback] = [
        # First, because it may roll back what the others would look at.
        Guards(section.guards, checkpoints),
        Progress(
            section.metrics.log_every_steps,
            flops=setup.flops,
            peak_flops=setup.peak_flops,
            uploads=uploads,
        ),
        validation,
    ]
    if section.average_frac is not None:
        callbacks.append(Averaging(section.average_frac, validation))
    callbacks.append(Saving(checkpoints))
    if section.freeze:
        callbacks.append(Freezing(backend, section.freeze, _new_ids(run)))
    if setup.base is not None:
        callbacks.append(Limits(setup.base))
    if section.samples.every_steps is not None and backend.rank == 0:
        callbacks.append(Samples(run, section.samples.every_steps))
    if section.early_signal.every_steps is not None and backend.rank == 0:
        callbacks.append(EarlySignal(run, section.early_signal.every_steps))
    return callbacks


def _new_ids(run: TrainRun) -> Sequence[int]:
    """Tokens that the base model does not know."""
    if run.model.base is None:
        return ()
    return list(map_tokens(run.model.base, run.model.base_revision, run.tokenizer_dir).new_ids)
