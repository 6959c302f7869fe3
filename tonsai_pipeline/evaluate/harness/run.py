"""A model and names of lm-eval tasks -> their scores; what cannot be loaded is named and how to get it.

    Subject, tasks ──HFLM with the BOS of training──▶ HarnessScore each, NotMeasured each

lm-eval puts a BOS before every text that is rolled, and our tokenizers add another: rolled tasks go without the
tokenizer's, choices and generations with it, so that a model sees what it saw in training.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.evaluate.subject import Subject
from tonsai_pipeline.evaluate.texts import NotMeasured

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager

TASKS_DIR = Path(__file__).parent / "tasks"
_ROLLED = "loglikelihood_rolling"


@dataclass(frozen=True)
class HarnessScore:
    """One number of lm-eval.

    Args:
        model: Name of the model.
        task: Of lm-eval.
        measure: Its name there, with the filter.
        value: The number.
        stderr: Its standard error; None where lm-eval gives none.
        num_items: Items of the task.
        floor: What knowing nothing scores, by the task's `metadata.floor`; None where it is not said.
    """

    model: str
    task: str
    measure: str
    value: float
    stderr: float | None
    num_items: int
    floor: float | None


def check_harness(tasks: Sequence[str]) -> None:
    """Refuse tasks where lm-eval is not installed.

    Raises:
        RecipeError: It is missing; the message names the extra.
    """
    if tasks and importlib.util.find_spec("lm_eval") is None:
        raise RecipeError(
            "evaluate.harness: lm-eval is not installed; it is an extra of this package: "
            "`uv sync --extra harness`, or `pip install tonsai-pipeline[harness]`"
        )


def run_harness(
    subject: Subject, tasks: Sequence[str], *, limit: int | None = None
) -> tuple[list[HarnessScore], list[NotMeasured]]:
    """Run tasks of lm-eval, ours or its own.

    Args:
        subject: The model.
        tasks: Names.
        limit: Items of each task at most; our tasks are shuffled, its own are not.

    Raises:
        RecipeError: lm-eval is missing, or a task has an unknown name.
    """
    check_harness(tasks)
    found, missing = [], []
    for task in tasks:
        try:
            found += _scores(subject, task, run_task(subject, task, limit=limit))
        except OSError as error:
            # Gated, offline and absent data sets: all of them are told by an OSError.
            missing.append(
                NotMeasured(f"lm-eval: {task}", " ".join(str(error).split())[:300], _HOW)
            )
    return found, missing


_HOW = "log in and accept the set's terms on its Hub page, or put its file into the folder TONSAI_EVAL_DATA"


def run_task(subject: Subject, task: str, *, limit: int | None = None) -> dict[str, Any]:
    """Return lm-eval's own results of one task, with a sample for every item.

    Raises:
        RecipeError: The name is unknown.
        OSError: Its data cannot be had.
    """
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    manager = _task_manager()
    if task not in manager.all_tasks:
        known = ", ".join(sorted(path.stem for path in TASKS_DIR.glob("tonsai_*.yaml")))
        raise RecipeError(f"evaluate.harness: lm-eval has no task '{task}'; ours are: {known}")
    loaded: Any = manager.load([task])["tasks"]
    is_rolled = any(one.OUTPUT_TYPE == _ROLLED for one in loaded.values())
    # Ours adds no BOS by itself, and lm-eval hands `add_bos_token` on only to a tokenizer that it opens. Those whose BOS is
    # their end stay as they are.
    if subject.tokenizer.bos_token not in (None, subject.tokenizer.eos_token):
        subject.tokenizer.add_bos_token = not is_rolled
    make: Any = HFLM  # its registration hides the signature
    model = make(
        pretrained=subject.model,
        tokenizer=subject.tokenizer,
        add_bos_token=not is_rolled,
        max_length=subject.context,
        batch_size=8,
    )
    results = simple_evaluate(
        model=model,
        tasks=[task],
        task_manager=manager,
        limit=limit,
        apply_chat_template=subject.is_chat,
        bootstrap_iters=0,
        log_samples=True,
    )
    assert results is not None, "only ranks other than 0 get nothing"
    return dict(results)


@cache
def _task_manager() -> TaskManager:
    """Return lm-eval's list of tasks with ours: it reads thousands of files, for ten seconds."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(TASKS_DIR))


def _scores(subject: Subject, task: str, results: dict[str, Any]) -> list[HarnessScore]:
    found = []
    for name, numbers in results["results"].items():
        metadata = results["configs"].get(name, {}).get("metadata") or {}
        for measure, value in numbers.items():
            is_number = isinstance(value, float) and "stderr" not in measure
            # Per word means nothing where no spaces part words.
            if not is_number or measure.startswith("word_"):
                continue
            metric, _, filtered = measure.partition(",")
            stderr = numbers.get(f"{metric}_stderr,{filtered}")
            found.append(
                HarnessScore(
                    model=subject.name,
                    task=name if name == task else f"{task}/{name}",
                    measure=metric,
                    value=value,
                    stderr=stderr if isinstance(stderr, float) else None,
                    num_items=len(results["samples"].get(name, ())),
                    floor=metadata.get("floor"),
                )
            )
    return found
