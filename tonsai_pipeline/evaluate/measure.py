"""Models and what they are measured on -> results: a table each, paired differences, the gate, what was not measured.

Subject each ──bits per byte, suite, health, safety, memorization──▶ ModelResult
ModelResults ──same items, paired──▶ Difference each
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tonsai_pipeline.dedup.contamination import find_overlaps, index_items
from tonsai_pipeline.evaluate.bits_per_byte import (
    BitsPerByte,
    TextScores,
    difference,
    rows_of,
    score_texts,
)
from tonsai_pipeline.evaluate.following import Instruction
from tonsai_pipeline.evaluate.memorization import Memorized, Overlap, attack, overlap, shingles_of
from tonsai_pipeline.evaluate.memorized_replies import attack_replies
from tonsai_pipeline.evaluate.safety import Safety, measure_safety, read_terms
from tonsai_pipeline.evaluate.same_cut import same_cut
from tonsai_pipeline.evaluate.subject import Subject
from tonsai_pipeline.evaluate.suite_run import ItemResult, KindScore, run_suite, summarize
from tonsai_pipeline.evaluate.texts import (
    MAX_CORPUS_BYTES,
    CorpusPart,
    NotMeasured,
    TextSet,
    read_corpus,
)
from tonsai_pipeline.metrics.bootstrap import Estimate, mean
from tonsai_pipeline.metrics.health import measure_health
from tonsai_pipeline.metrics.health import summarize as summarize_health
from tonsai_pipeline.metrics.suite import Item
from tonsai_pipeline.model.opened import num_rows
from tonsai_pipeline.recipe.evaluate import EvaluateConfig
from tonsai_pipeline.text import NormalizeOptions

#: An item of which the corpus holds this share of its n-grams is dirty.
_MIN_DIRTY_FRAC = 0.5
#: What the longest generations have: 600 bytes of Khmer.
_EXCERPT_CHARS = 200


@dataclass(frozen=True)
class Material:
    """What every model is measured on.

    Args:
        texts: For bits per byte.
        items: The prompt suite; empty: not run.
        corpus: What the first model was trained on; empty: not known.
        shards_dir: Packed rows of the first model's pretraining; None: not known.
        replies_dir: Rows of conversations that it was tuned on; None: it is no tuned model.
        dirty: Ids of items that the corpus holds.
        instructions: Held-out conversations that are answered; empty: none are.
        max_answer_tokens: Tokens of an answer at most.
    """

    texts: tuple[TextSet, ...] = ()
    items: tuple[Item, ...] = ()
    corpus: tuple[CorpusPart, ...] = ()
    shards_dir: Path | None = None
    replies_dir: Path | None = None
    dirty: frozenset[str] = frozenset()
    instructions: tuple[Instruction, ...] = ()
    max_answer_tokens: int = 256


@dataclass(frozen=True)
class ModelResult:
    """Everything measured on one model."""

    name: str
    num_parameters: int
    vocab_size: int
    bits_per_byte: tuple[BitsPerByte, ...]
    suite: tuple[KindScore, ...]
    suite_clean: tuple[KindScore, ...]
    suite_dirty: tuple[KindScore, ...]
    items: tuple[ItemResult, ...]
    health: dict[str, dict[str, float]]
    safety: Safety | None
    memorized: tuple[Memorized, ...]
    overlap: Overlap | None
    seconds: dict[str, float]
    scores: tuple[TextScores, ...]
    same_cut: Estimate | None = None


@dataclass(frozen=True)
class Difference:
    """How far the first of two models stands above the second, on the same documents or items.

    Args:
        first: Name of a model.
        second: Name of another.
        measure: What is compared.
        group: Language or kind.
        value: The first minus the second; they differ where the interval does not hold 0.
    """

    first: str
    second: str
    measure: str
    group: str
    value: Estimate


def measure_model(
    subject: Subject,
    material: Material,
    config: EvaluateConfig,
    options: NormalizeOptions,
    *,
    is_trained_on_corpus: bool = True,
) -> ModelResult:
    """Measure one model.

    Args:
        subject: The model.
        material: What it is measured on.
        config: The recipe's section.
        options: How the corpus was normalized.
        is_trained_on_corpus: Whether the corpus and the rows of the material are its own; else it is not attacked.

    Raises:
        DataError: A list of terms cannot be read.
    """
    clock = _Clock()
    scores = tuple(score_texts(subject, texts) for texts in material.texts)
    rows = [
        row
        for texts, own in zip(material.texts, scores, strict=True)
        for row in rows_of(texts, own)
    ]
    clock.lap("bits per byte")
    items, results = material.items, []
    health: dict[str, dict[str, float]] = {}
    safety = shared = None
    if items:
        results = run_suite(subject, items, config.generation)
        clock.lap("suite")
        health = _health(items, results, options)
        prompts, texts = _generations(items, results)
        corpus = material.corpus if is_trained_on_corpus else ()
        safety = measure_safety(prompts, texts, read_terms(config.listed_terms), corpus)
        if corpus:
            shared = overlap(texts, corpus)
        clock.lap("health and safety")
    memorized: list[Memorized] = []
    shards_dir = material.shards_dir if is_trained_on_corpus else None
    if is_trained_on_corpus and config.memorization.max_documents:
        if shards_dir:
            memorized += attack(subject, shards_dir, config.memorization)
        if material.replies_dir:
            memorized += attack_replies(subject, material.replies_dir, config.memorization)
        clock.lap("memorization")
    return ModelResult(
        name=subject.name,
        num_parameters=sum(p.numel() for p in subject.model.parameters()),
        vocab_size=num_rows(subject.model.get_output_embeddings()),
        bits_per_byte=tuple(rows),
        suite=tuple(summarize(items, results)) if items else (),
        suite_clean=_part(items, results, material.dirty, dirty_ones=False),
        suite_dirty=_part(items, results, material.dirty, dirty_ones=True),
        items=tuple(results),
        health=health,
        safety=safety,
        memorized=tuple(memorized),
        overlap=shared,
        seconds=clock.laps,
        scores=scores,
        same_cut=same_cut(subject, shards_dir) if shards_dir else None,
    )


def differences(results: Sequence[ModelResult]) -> tuple[list[Difference], list[NotMeasured]]:
    """Compare the first model with every other, paired; what they were not both measured on is named."""
    found, lacking = [], []
    for other in results[1:]:
        first = results[0]
        theirs = {scores.name: scores for scores in other.scores}
        for own in first.scores:
            try:
                for language in sorted(set(own.languages)):
                    value = difference(own, theirs[own.name], language)
                    group = f"{own.name}, {language}"
                    found.append(Difference(first.name, other.name, "bits per byte", group, value))
            except (KeyError, ValueError):
                how = "measure both in one call: tonsai evaluate MODEL MODEL"
                what = f"difference on {own.name}: {first.name}, {other.name}"
                lacking.append(NotMeasured(what, "not measured on the same documents", how))
        scores = {item.id: item.score for item in other.items if item.score is not None}
        for kind in dict.fromkeys(item.kind for item in first.items):
            pairs = [
                (item.score, scores[item.id])
                for item in first.items
                if item.kind == kind and item.score is not None and item.id in scores
            ]
            if pairs:
                value = mean([a - b for a, b in pairs])
                found.append(Difference(first.name, other.name, "suite score", kind, value))
    return found, lacking


def find_dirty(items: Sequence[Item], corpus: Sequence[CorpusPart]) -> frozenset[str]:
    """Return the ids of items whose question and answer stand in the corpus, by n-grams of `OVERLAP_CLUSTERS`."""
    if not items:
        return frozenset()
    texts = pa.array([" ".join(item.asked) for item in items], pa.large_string())
    index, dirty = index_items(shingles_of(texts)), set()
    for documents in read_corpus(corpus, max_bytes=MAX_CORPUS_BYTES):
        found = find_overlaps(shingles_of(documents), index)
        dirty |= {items[i].id for i in found.items[found.fracs >= _MIN_DIRTY_FRAC].tolist()}
    return frozenset(dirty)


def corpus_health(
    texts: Sequence[TextSet], options: NormalizeOptions
) -> dict[str, dict[str, float]]:
    """Return the health of held-out documents, cut to the length of a generation, by language."""
    found = {}
    for language in ("khm", "eng"):
        own = [
            document.text[:_EXCERPT_CHARS]
            for one in texts
            for document in one.documents
            if document.language == language
        ]
        if own:
            healths = measure_health(own, [language] * len(own), [False] * len(own), options)
            found[language] = summarize_health(healths)
    return found


def missing(material: Material, config: EvaluateConfig) -> list[NotMeasured]:
    """Name what was not measured and how it could be."""
    found = []
    if not material.items:
        found.append(
            NotMeasured("prompt suite, health", "switched off", "set evaluate.suite: true")
        )
    if not material.texts:
        found.append(
            NotMeasured(
                "bits per byte", "no texts", "give --recipe, or --texts khm=FILE, or evaluate.texts"
            )
        )
    has_rows = material.shards_dir or material.replies_dir
    if not has_rows or not config.memorization.max_documents:
        how = "evaluate through the recipe that trained the model, with evaluate.memorization.max_documents above 0"
        found.append(NotMeasured("memorization", "no packed training rows", how))
    if not material.corpus:
        how = "evaluate through the recipe that trained the model"
        found.append(NotMeasured("contamination, overlap with the corpus", "no corpus", how))
    if not config.listed_terms:
        how = "evaluate.listed_terms: {khm: FILE, eng: FILE}, one term a line"
        found.append(NotMeasured("added listed terms", "no list of terms is given", how))
    return found


class _Clock:
    """Seconds by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._began = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name], self._began = now - self._began, now


def _generations(
    items: Sequence[Item], results: Sequence[ItemResult]
) -> tuple[list[str], list[str]]:
    """Return the prompt and the text of every generation."""
    pairs = [(i.prompt, w.text) for i, r in zip(items, results, strict=True) for w in r.texts]
    return [prompt for prompt, _ in pairs], [text for _, text in pairs]


def _health(
    items: Sequence[Item], results: Sequence[ItemResult], options: NormalizeOptions
) -> dict[str, dict[str, float]]:
    """Return the health of generations by kind; `continue` is drawn, the others are the likeliest texts."""
    found = {}
    for kind in dict.fromkeys(item.kind for item, r in zip(items, results, strict=True) if r.texts):
        own = [
            (written, item.language)
            for item, result in zip(items, results, strict=True)
            for written in result.texts
            if item.kind == kind
        ]
        healths = measure_health(
            [written.text for written, _ in own],
            [language for _, language in own],
            [written.ended for written, _ in own],
            options,
        )
        found[kind] = summarize_health(healths)
    return found


def _part(
    items: Sequence[Item], results: Sequence[ItemResult], dirty: frozenset[str], *, dirty_ones: bool
) -> tuple[KindScore, ...]:
    """Return the table over the items that the corpus holds, or over the others; nothing where none is dirty."""
    own = [(i, r) for i, r in zip(items, results, strict=True) if (i.id in dirty) == dirty_ones]
    if not dirty or not own:
        return ()
    return tuple(summarize([i for i, _ in own], [r for _, r in own]))
