"""Every few steps: fixed prompts -> what the network writes by now, in metrics.jsonl and its views.

network ──every N steps, with the same seed──▶ texts

Only process 0 writes; the others wait for it at the next step.
"""

from __future__ import annotations

from dataclasses import asdict

from tonsai_pipeline.model.samples import open_tokenizer, shipped_prompts, write_samples
from tonsai_pipeline.train.backends.backend import StepResult
from tonsai_pipeline.train.callbacks.callback import Callback
from tonsai_pipeline.train.spec import TrainRun


class Samples(Callback):
    """Lets the network in training go on from fixed prompts.

    Args:
        run: Which prompts, and which tokenizer.
        every_steps: Steps between two times.
    """

    def __init__(self, run: TrainRun, every_steps: int) -> None:
        self._every_steps = every_steps
        self._section = run.train.samples
        first_ones = {lang: texts[:1] for lang, texts in shipped_prompts().items()}
        self._prompts = self._section.prompts or first_ones
        self._coeng_da = run.coeng_da
        self._tokenizer = open_tokenizer(run.tokenizer_dir)

    def after_step(self, step: int, result: StepResult) -> None:
        """Write one text from each prompt when it is due."""
        del result
        if not self.trainer.is_due(self._every_steps):
            return
        samples = write_samples(
            self.trainer.backend.loss.model,
            self._tokenizer,
            self._prompts,
            self._section.generation,
            coeng_da=self._coeng_da,
        )
        journal = self.trainer.journal
        journal.metrics.write_samples(step, [asdict(sample) for sample in samples])
        for sample in samples:
            text = " ".join(sample.text.split())
            journal.reporter.log(
                f"step {step:,} writes ({sample.language}): {sample.prompt} | {text}"
            )
