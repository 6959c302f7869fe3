"""Fixed prompts during a run -> what the network writes by now, in metrics.jsonl and its views.

network ──every N steps, with the same dice──▶ texts

Only process 0 writes; the others wait for it at the next step.
"""

from __future__ import annotations

from dataclasses import asdict

from transformers import PreTrainedModel

from tonsai_pipeline.model.samples import open_tokenizer, shipped_prompts, write_samples
from tonsai_pipeline.reporting import Reporter
from tonsai_pipeline.train.metrics import Metrics
from tonsai_pipeline.train.spec import TrainRun


class SampleWriter:
    """Lets the network in training go on from fixed prompts.

    Args:
        run: Which prompts, and which tokenizer.
        model: The network, whole in this process.
        metrics: Where the texts go.
        reporter: Told each text in a line.
    """

    def __init__(
        self, run: TrainRun, model: PreTrainedModel, metrics: Metrics, reporter: Reporter
    ) -> None:
        self._section = run.train.samples
        first_ones = {lang: texts[:1] for lang, texts in shipped_prompts().items()}
        self._prompts = self._section.prompts or first_ones
        self._coeng_da = run.coeng_da
        self._tokenizer = open_tokenizer(run.tokenizer_dir)
        self._model = model
        self._metrics = metrics
        self._reporter = reporter

    def write(self, step: int) -> None:
        """Write one text from each prompt."""
        samples = write_samples(
            self._model,
            self._tokenizer,
            self._prompts,
            self._section.generation,
            coeng_da=self._coeng_da,
        )
        self._metrics.write_samples(step, [asdict(sample) for sample in samples])
        for sample in samples:
            said = " ".join(sample.text.split())
            self._reporter.log(
                f"step {step:,} writes ({sample.language}): {sample.prompt} | {said}"
            )
