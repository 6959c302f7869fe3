"""Everything that was measured -> `results.json`, the machine-readable twin of the report. The schema is in docs/evaluation.md.

ModelResults, differences, verdicts, facts ──as_dict──▶ JSON values
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.evaluate.following import Following
from tonsai_pipeline.evaluate.gate import Verdict, overall
from tonsai_pipeline.evaluate.harness import HarnessScore
from tonsai_pipeline.evaluate.measure import Difference, ModelResult
from tonsai_pipeline.evaluate.promised import Promised
from tonsai_pipeline.evaluate.subject import Written
from tonsai_pipeline.evaluate.texts import NotMeasured
from tonsai_pipeline.metrics.suite import Item
from tonsai_pipeline.model.held_out import HeldOut
from tonsai_pipeline.model.samples import Sample
from tonsai_pipeline.storage.files import read_json

FORMAT = "tonsai-evaluation/2"


@dataclass(frozen=True)
class Results:
    """One evaluation.

    Args:
        title: Name of the run.
        date: When it was measured, ISO 8601.
        models: The first is the one in question, the others are compared with it.
        differences: Of the first from each other model.
        verdicts: The gate, of the first model.
        not_measured: What is not said, why, and how it could be.
        items: The prompt suite.
        suite: Its name; empty where it was not run.
        num_dirty: Items that the corpus holds; None where no corpus was searched.
        corpus_health: Of held-out documents, by language, beside that of generations.
        languages: Packed held-out rows before and after training, by language; empty without a training run.
        samples: Texts from the recipe's prompts.
        training: The training run's `status.json`.
        corpus: Facts of the corpus, of the mixture and of the tokenizer, by asset.
        harness: Scores of lm-eval.
        following: How each model answers held-out instructions; empty without any.
        promised: What a pilot predicted, beside what was measured; None without a prediction.
    """

    title: str
    date: str
    models: Sequence[ModelResult]
    differences: Sequence[Difference] = ()
    verdicts: Sequence[Verdict] = ()
    not_measured: Sequence[NotMeasured] = ()
    items: Sequence[Item] = ()
    suite: str = ""
    num_dirty: int | None = None
    corpus_health: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    languages: Mapping[str, Mapping[str, HeldOut]] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    corpus: Mapping[str, Any] = field(default_factory=dict)
    harness: Sequence[HarnessScore] = ()
    following: Sequence[Following] = ()
    promised: Promised | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers and texts as JSON values; a number that is not finite is null."""
        found = {
            one.name: _json(getattr(self, one.name))
            for one in fields(self)
            if one.name != "verdicts"
        }
        gate = {"verdict": overall(self.verdicts), "verdicts": _json(self.verdicts)}
        return {"format": FORMAT, **found, "gate": gate if self.verdicts else None}


def read_models(path: Path) -> tuple[list[ModelResult], str]:
    """Read the models of a `results.json`, and the name of the suite that they were asked.

    Raises:
        DataError: The file is missing, or of another format.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; `tonsai evaluate` and the asset evaluation_report write it"
        )
    found: Any = read_json(path)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError(f"{path}: not a {FORMAT} file; evaluate the model again")
    return TypeAdapter(list[ModelResult]).validate_python(found["models"]), found["suite"]


def _json(value: Any) -> Any:
    """Turn dataclasses, tuples and mappings into JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Written):
        return {"text": value.text, "ended": value.ended}
    if isinstance(value, Mapping):
        return {str(name): _json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_json(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
