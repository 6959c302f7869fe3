"""Every few steps: a fixed part of the prompt suite -> curves that move before any answer is right.

network ──every N steps, likelihoods and two texts──▶ signal/pairs_preferred, signal/answer_bits_per_byte, ...

Only process 0 measures; the others wait for it at the next step.
"""

from __future__ import annotations

import time

from transformers import PreTrainedModel

from tonsai_pipeline.metrics.health import measure_health, summarize
from tonsai_pipeline.metrics.suite import load_suite
from tonsai_pipeline.model.early_signal import early_signal
from tonsai_pipeline.model.samples import open_tokenizer, write_samples
from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.train.backends.backend import StepResult
from tonsai_pipeline.train.callbacks.callback import Callback
from tonsai_pipeline.train.records.metrics import SIGNAL
from tonsai_pipeline.train.spec import TrainRun

#: Prompts that are continued, one text each.
_NUM_TEXTS = 4
#: What of their health makes a curve.
_HEALTH = (
    "replacement_frac",
    "invalid_cluster_frac",
    "stable_frac",
    "loop_frac",
    "right_language_frac",
)


class EarlySignal(Callback):
    """Measures the network in training on every n-th item of the suite, for at most a share of the time.

    Args:
        run: Which tokenizer, and how many items.
        every_steps: Steps between two times.
    """

    def __init__(self, run: TrainRun, every_steps: int) -> None:
        self._every_steps = every_steps
        self._run = run
        suite = load_suite()
        self._items = suite[:: run.train.early_signal.every_item]
        self._prompts = tuple(item.prompt for item in suite if item.kind == "continue")[:_NUM_TEXTS]
        self._tokenizer = open_tokenizer(run.tokenizer_dir)
        self._began = time.monotonic()
        self._spent_s = 0.0

    def after_step(self, step: int, result: StepResult) -> None:
        """Measure when it is due, unless it has taken more than its share of the time."""
        del result
        trainer, began = self.trainer, time.monotonic()
        most = self._run.train.early_signal.max_time_frac * (began - self._began)
        if not trainer.is_due(self._every_steps) or (self._spent_s > most and not trainer.is_last):
            return
        model = trainer.backend.loss.model
        found = early_signal(model, self._tokenizer, self._items) | self._health(model)
        self._spent_s += time.monotonic() - began
        trainer.journal.metrics.write(SIGNAL, step, **found)
        trainer.journal.show(step, **found)

    def _health(self, model: PreTrainedModel) -> dict[str, float]:
        run = self._run
        samples = write_samples(
            model,
            self._tokenizer,
            {"khm": self._prompts},
            run.train.samples.generation,
            coeng_da=run.coeng_da,
        )
        healths = measure_health(
            [sample.text for sample in samples],
            ["khm"] * len(samples),
            [sample.ended for sample in samples],
            NormalizeOptions(coeng_da=run.coeng_da),
        )
        summary = summarize(healths)
        return {name: summary[name] for name in _HEALTH}
