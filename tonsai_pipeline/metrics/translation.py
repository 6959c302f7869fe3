"""Translations and references -> chrF2 after the corpus normalizer, with the scores that mean nothing beside it.

    hypotheses, references ──normalize, fold digits──▶ sacrebleu chrF (word order 0) ──▶ score, floors, signature

Spacing is free in Khmer, so word n-grams (chrF++, BLEU) measure spaces. About 19 is what a good sentence with another
meaning reaches: a score without its floors cannot be read.

Source: Popović 2015 (chrF); Post 2018 (signatures). Normalizing both sides and the floors are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sacrebleu.metrics.chrf import CHRF

from tonsai_pipeline.metrics.answers import DIGITS
from tonsai_pipeline.text import normalize


@dataclass(frozen=True)
class ChrF:
    """chrF2 of a test set, 0..100.

    Args:
        score: Over the whole set, as `sacrebleu -m chrf` prints it.
        sentences: Of each sentence, for intervals and paired comparisons.
        wrong_sentence: The score of the references of other sentences: zero knowledge.
        source_copied: The score of the sources handed back.
        signature: sacrebleu's.
    """

    score: float
    sentences: tuple[float, ...]
    wrong_sentence: float
    source_copied: float
    signature: str


def prepare(text: str) -> str:
    """Return the text as both sides of a comparison see it."""
    return " ".join(normalize(text).translate(DIGITS).split())


def chrf2(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], sources: Sequence[str]
) -> ChrF:
    """Score translations.

    Args:
        hypotheses: One a sentence.
        references: One or more a sentence; the best counts.
        sources: What was translated.

    Raises:
        ValueError: Nothing to score, or lengths differ.
    """
    if not hypotheses or not len(hypotheses) == len(references) == len(sources):
        raise ValueError(
            f"{len(hypotheses)} translations, {len(references)} references, {len(sources)} sources"
        )
    wanted = [[prepare(text) for text in texts] for texts in references]
    depth = max(map(len, wanted))
    # sacrebleu takes one stream a reference; None where a sentence has fewer.
    streams = [[texts[i] if i < len(texts) else None for texts in wanted] for i in range(depth)]
    metric = CHRF(word_order=0)

    def corpus(texts: Sequence[str]) -> float:
        return metric.corpus_score(texts, streams).score  # pyright: ignore[reportArgumentType]

    written = [prepare(text) for text in hypotheses]
    score = corpus(written)
    return ChrF(
        score=score,
        sentences=tuple(
            metric.sentence_score(text, texts).score
            for text, texts in zip(written, wanted, strict=True)
        ),
        wrong_sentence=corpus([wanted[i - 1][0] for i in range(len(wanted))]),
        source_copied=corpus([prepare(text) for text in sources]),
        signature=str(metric.get_signature()),
    )
