"""Events and numbers of a run -> metrics.jsonl and the person who watches.

a thread ──notice──▶ queue ──flush, at the next step──▶ event        a callback ──event, record, show──▶
"""

from __future__ import annotations

from collections import deque
from typing import Any

from tonsai_pipeline.reporting import Reporter
from tonsai_pipeline.train.records.metrics import EVENT, Metrics


class Journal:
    """What happens in a run, in words and numbers.

    Args:
        metrics: Where both are kept.
        reporter: Shows both.
        notices: Messages of other threads, and of parts that know no step.
        num_steps: Of the run.
    """

    def __init__(
        self, metrics: Metrics, reporter: Reporter, notices: deque[str], num_steps: int
    ) -> None:
        self.metrics = metrics
        self.reporter = reporter
        self._notices = notices
        self._num_steps = num_steps

    def rewind(self, step: int) -> None:
        """Forget what was measured after `step`, see `Metrics.rewind`."""
        self.metrics.rewind(step)

    def event(self, step: int, message: str) -> None:
        """Keep and show what happened."""
        self.metrics.write(EVENT, step, message=message)
        self.reporter.log(message)

    def flush(self, step: int) -> None:
        """Make events of the notices."""
        while self._notices:
            self.event(step, self._notices.popleft())

    def show(self, step: int, **numbers: Any) -> None:
        """Show numbers; they are kept by `metrics.write`."""
        self.reporter.metrics(step=step, of=self._num_steps, **numbers)
