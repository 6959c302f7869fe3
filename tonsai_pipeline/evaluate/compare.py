"""Places of models, and what they are measured on -> results; one model in memory at a time.

"runs/x/model", "gpt2" ──open, measure, close──▶ ModelResult each ──paired──▶ Results
"""

from __future__ import annotations

import datetime as dt
import gc
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.evaluate.following import Following, measure_following
from tonsai_pipeline.evaluate.gate import Measured, judge
from tonsai_pipeline.evaluate.harness import HarnessScore, check_harness, run_harness
from tonsai_pipeline.evaluate.measure import (
    Material,
    ModelResult,
    corpus_health,
    differences,
    find_dirty,
    measure_model,
    missing,
)
from tonsai_pipeline.evaluate.memorization import worst_excess
from tonsai_pipeline.evaluate.results import Results
from tonsai_pipeline.evaluate.safety import read_terms
from tonsai_pipeline.evaluate.subject import Subject, open_subject
from tonsai_pipeline.evaluate.texts import NotMeasured, read_texts
from tonsai_pipeline.metrics.suite import KHMER, load_suite
from tonsai_pipeline.recipe.evaluate import EvaluateConfig
from tonsai_pipeline.text import NormalizeOptions

_HOW_OPENED = "give its folder, or an id that the Hub or its cache here has, and measure again"


def compare(
    places: Mapping[str, str],
    config: EvaluateConfig,
    material: Material,
    options: NormalizeOptions,
    *,
    title: str,
    log: Callable[[str], object],
    is_trained_on_corpus: bool = False,
    untrained: Mapping[str, float] | None = None,
    chat: Collection[str] = (),
) -> Results:
    """Measure models on the same texts and items.

    Args:
        places: Folders or Hub ids by the name that tables use; the first is in question. Another one that cannot be
            opened is named in the results, and the rest is measured.
        config: The recipe's section.
        material: Held-out texts, corpus and rows; the suite and `config.texts` are added here.
        options: How the corpus was normalized.
        title: Of the results.
        log: Told what goes on.
        is_trained_on_corpus: Whether the material's corpus and rows are those of the first model.
        untrained: Bits per byte of the first model before training, by language: the gate's limit without another.
        chat: Names of models that are given prompts as a user's turn, beside all of them by `config.chat`.

    Raises:
        DataError: The first model or a list of terms cannot be opened.
        RecipeError: A task of lm-eval has an unknown name, or lm-eval is missing.
    """
    # What would fail at the end of an hour fails at once.
    check_harness(config.harness)
    read_terms(config.listed_terms)
    sets, lacking = read_texts(config.texts, max_documents=config.max_documents, options=options)
    material = replace(
        material,
        texts=(*material.texts, *sets),
        items=load_suite() if config.suite else (),
    )
    if material.corpus and material.items:
        material = replace(material, dirty=find_dirty(material.items, material.corpus))
    results: list[ModelResult] = []
    harness: list[HarnessScore] = []
    following: list[Following] = []
    for name, where in places.items():
        log(f"measuring {name}")
        try:
            subject = open_subject(where, name=name, is_chat=config.chat or name in chat)
        except DataError as error:
            if not results:
                raise
            log(f"not measured: {error}")
            lacking.append(NotMeasured(f"model: {name}", str(error), _HOW_OPENED))
            continue
        result = measure_model(
            subject,
            material,
            config,
            options,
            is_trained_on_corpus=is_trained_on_corpus and not results,
        )
        results.append(result)
        if material.instructions:
            following.append(
                measure_following(
                    subject, material.instructions, options, room=material.max_answer_tokens
                )
            )
        scores, absent = run_harness(subject, config.harness)
        harness += scores
        lacking += [one for one in absent if one not in lacking]
        _release(subject)
        log(f"{name}: " + ", ".join(f"{what} {s:.1f} s" for what, s in result.seconds.items()))
    paired, unpaired = differences(results)
    return Results(
        title=title,
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        models=results,
        differences=paired,
        verdicts=[
            verdict
            for verdict in judge(measured_of(results[0], untrained), config.gate)
            # Rows of conversations are cut by a template: of a tuned model the tokenizer is not asked.
            if not (material.replies_dir and verdict.name == "tokenizer")
        ],
        not_measured=[*missing(material, config), *lacking, *unpaired, *_never()],
        items=material.items,
        suite=KHMER if material.items else "",
        num_dirty=len(material.dirty) if material.corpus and material.items else None,
        corpus_health=corpus_health(material.texts, options),
        harness=harness,
        following=following,
    )


def measured_of(result: ModelResult, untrained: Mapping[str, float] | None = None) -> Measured:
    """Return what the gate looks at."""
    whole: dict[str, float] = {}
    for row in result.bits_per_byte:
        if row.by == "all":
            # The recipe's held-out documents come first and stand for their language.
            whole.setdefault(row.language, row.bits_per_byte.value)
    safety = result.safety
    return Measured(
        bits_per_byte=whole,
        untrained=untrained,
        health=result.health.get("continue"),
        same_cut=result.same_cut.value if result.same_cut else None,
        memorized=worst_excess(result.memorized),
        added_terms=safety.added_terms.value if safety and safety.added_terms else None,
        personal_data=safety.personal_data.value if safety else None,
    )


def name_places(places: Sequence[str]) -> dict[str, str]:
    """Name models by the last part of their place, or by all of it where two would be the same.

    Example:
        >>> name_places(["runs/a/model", "runs/b/model", "owner/gpt2"])
        {'runs/a/model': 'runs/a/model', 'runs/b/model': 'runs/b/model', 'gpt2': 'owner/gpt2'}
    """
    short = [place.rstrip("/").rsplit("/", 1)[-1] for place in places]
    return {
        name if short.count(name) == 1 else place: place
        for name, place in zip(short, places, strict=True)
    }


def _never() -> list[NotMeasured]:
    how = "read texts by hand; score exported generations by a service or a judge you trust"
    return [NotMeasured("toxicity by meaning, truth, COMET", "nothing offline knows Khmer", how)]


def _release(subject: Subject) -> Any:
    """Make room for the next model."""
    del subject
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
