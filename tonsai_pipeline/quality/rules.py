"""Signals and limits -> keep, or drop with the first reason that holds; and how far inside the limits.

    Signals ──judge(limits)──▶ reasons (num_docs,) "" | DropReason
            ──margin(limits)─▶ score in [0, 1] from the signals alone

A reason states the fact about the document. The order of the list is the order of the checks: what a person
would say first comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum, auto

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.quality.signals import Signal, Signals

#: Bumped when the same signals and limits would get another verdict.
RULES_VERSION = 1


class DropReason(StrEnum):
    """Why a document was dropped: a closed list."""

    wrong_language = auto()
    legacy_font = auto()
    broken_khmer = auto()
    listed_words = auto()
    too_few_words = auto()
    too_few_letters = auto()
    too_many_symbols = auto()
    too_many_digits = auto()
    too_many_placeholders = auto()
    too_many_links = auto()
    words_too_short = auto()
    words_too_long = auto()
    too_few_stop_words = auto()
    short_without_sentence = auto()
    too_few_sentences = auto()
    too_many_short_lines = auto()
    too_many_bullets = auto()
    too_many_ellipses = auto()
    repeated_lines = auto()
    repeated_paragraphs = auto()
    repeated_phrases = auto()
    repeated_passages = auto()
    low_score = auto()


@dataclass(frozen=True)
class Limits:
    """The limits of one language; what each means and where it comes from is in `recipe/quality.py`."""

    min_words: float
    min_words_alone: float
    min_stop_words: float
    min_stop_word_frac: float
    min_letter_frac: float
    max_symbol_frac: float
    max_digit_frac: float
    min_mean_word_chars: float
    max_mean_word_chars: float
    max_placeholders_per_1000_chars: float
    max_links_per_1000_chars: float
    min_sentences_per_1000_chars: float
    max_short_char_frac: float
    max_bullet_line_frac: float
    max_ellipsis_line_frac: float
    max_duplicate_line_frac: float
    max_duplicate_line_char_frac: float
    max_duplicate_paragraph_frac: float
    max_duplicate_paragraph_char_frac: float
    max_top_2_gram_frac: float
    max_top_3_gram_frac: float
    max_top_4_gram_frac: float
    max_duplicate_5_gram_frac: float
    max_duplicate_6_gram_frac: float
    max_duplicate_7_gram_frac: float
    max_duplicate_8_gram_frac: float
    max_duplicate_9_gram_frac: float
    max_duplicate_10_gram_frac: float
    max_bad_clusters_frac: float
    max_listed_word_frac: float

    @classmethod
    def of(cls, section: object) -> Limits:
        """Pick the limits out of a larger section, by their names."""
        return cls(**{name: getattr(section, name) for name in LIMIT_NAMES})


#: Names of `Limits`.
LIMIT_NAMES = tuple(field.name for field in fields(Limits))
#: A Latin text in which this share of words has a capital after a small letter is text in a legacy font
#: (measured: Limon pages 0.49 and more, English prose 0.04 and less, both at the 3rd percentile or 97th).
_LEGACY_INNER_CAPITAL_FRAC = 0.30
_LEGACY_MAX_STOP_WORD_FRAC = 0.20
#: A share of lines says nothing about a document of fewer lines, one of repeated words nothing about one of
#: fewer words (Gopher drops those under 50 words unread).
_MIN_LINES = 5
_MIN_WORDS_TO_REPEAT = 50


def judge(
    signals: Signals, limits: Limits, *, bad_clusters_frac: npt.NDArray[np.floating] | None = None
) -> npt.NDArray[np.object_]:
    """Return the first reason to drop each document, None for those that stay.

    Args:
        signals: Signals of the documents.
        limits: Limits of their language.
        bad_clusters_frac: Orphan marks and clusters against the spelling rules, over all clusters, from the
            normalizer; shape (num_docs,); None for none.

    Returns:
        `DropReason` or None, shape (num_docs,). `wrong_language` and `low_score` are the caller's.
    """
    reasons = np.full(len(signals.values), None, dtype=object)
    for reason, hit in _checks(signals, limits, bad_clusters_frac):
        reasons[hit & (reasons == None)] = reason  # noqa: E711 (elementwise)
    return reasons


def margin(signals: Signals, limits: Limits) -> npt.NDArray[np.float32]:
    """Score documents by the signals alone: the mean of how far inside each graded limit they are.

    For each graded signal 0 is at or beyond its limit and 1 is as good as typical prose. It orders documents
    when there is no classifier; it is no probability.

    Returns:
        Scores in [0, 1], shape (num_docs,).
    """
    of = signals.of
    grades = [
        _grade(
            np.log1p(of(Signal.num_words)),
            np.log1p(limits.min_words),
            np.log1p(8 * limits.min_words_alone),
        ),
        _grade(of(Signal.stop_word_frac), limits.min_stop_word_frac, 0.35),
        _grade(of(Signal.letter_frac), limits.min_letter_frac, 0.96),
        _grade(of(Signal.ended_char_frac), 0.0, 0.9),
        _grade(of(Signal.num_sentences_per_1000_chars), limits.min_sentences_per_1000_chars, 5.0),
        _grade(of(Signal.symbol_frac), limits.max_symbol_frac, 0.0),
        _grade(of(Signal.short_char_frac), limits.max_short_char_frac, 0.0),
        _grade(of(Signal.duplicate_line_char_frac), limits.max_duplicate_line_char_frac, 0.0),
        _grade(of(Signal.top_2_gram_frac), limits.max_top_2_gram_frac, 0.05),
        _grade(of(Signal.duplicate_5_gram_frac), limits.max_duplicate_5_gram_frac, 0.0),
    ]
    return np.mean(grades, axis=0).astype(np.float32)


def _grade(
    value: npt.NDArray[np.floating], at_limit: float, typical: float
) -> npt.NDArray[np.floating]:
    if typical == at_limit:
        return np.ones_like(value)
    return np.clip((value - at_limit) / (typical - at_limit), 0.0, 1.0)


def _checks(
    signals: Signals, limits: Limits, bad_clusters_frac: npt.NDArray[np.floating] | None
) -> list[tuple[DropReason, npt.NDArray[np.bool_]]]:
    of = signals.of
    words = of(Signal.num_words)
    spaced = of(Signal.khmer_frac) < 0.5  # mean word length says nothing about Khmer
    short = words < limits.min_words_alone
    listed = of(Signal.num_lines) >= _MIN_LINES
    long = words >= _MIN_WORDS_TO_REPEAT
    bad = np.zeros(len(words)) if bad_clusters_frac is None else bad_clusters_frac
    return [
        (
            DropReason.legacy_font,
            (of(Signal.inner_capital_frac) > _LEGACY_INNER_CAPITAL_FRAC)
            & (of(Signal.stop_word_frac) < _LEGACY_MAX_STOP_WORD_FRAC)
            & spaced
            & (words >= limits.min_words),
        ),
        (DropReason.broken_khmer, bad > limits.max_bad_clusters_frac),
        (DropReason.listed_words, of(Signal.listed_word_frac) > limits.max_listed_word_frac),
        (DropReason.too_few_words, words < limits.min_words),
        (DropReason.too_few_letters, of(Signal.letter_frac) < limits.min_letter_frac),
        (DropReason.too_many_symbols, of(Signal.symbol_frac) > limits.max_symbol_frac),
        (DropReason.too_many_digits, of(Signal.digit_frac) > limits.max_digit_frac),
        (
            DropReason.too_many_placeholders,
            of(Signal.num_placeholders_per_1000_chars) > limits.max_placeholders_per_1000_chars,
        ),
        (
            DropReason.too_many_links,
            of(Signal.num_links_per_1000_chars) > limits.max_links_per_1000_chars,
        ),
        (
            DropReason.words_too_short,
            spaced & (of(Signal.mean_word_chars) < limits.min_mean_word_chars),
        ),
        (
            DropReason.words_too_long,
            spaced & (of(Signal.mean_word_chars) > limits.max_mean_word_chars),
        ),
        (
            DropReason.too_few_stop_words,
            (of(Signal.num_stop_words) < limits.min_stop_words)
            | (of(Signal.stop_word_frac) < limits.min_stop_word_frac),
        ),
        (DropReason.short_without_sentence, short & (of(Signal.ended_char_frac) < 0.5)),
        (
            DropReason.too_few_sentences,
            of(Signal.num_sentences_per_1000_chars) < limits.min_sentences_per_1000_chars,
        ),
        (DropReason.too_many_short_lines, of(Signal.short_char_frac) > limits.max_short_char_frac),
        (
            DropReason.too_many_bullets,
            listed & (of(Signal.bullet_line_frac) > limits.max_bullet_line_frac),
        ),
        (
            DropReason.too_many_ellipses,
            listed & (of(Signal.ellipsis_line_frac) > limits.max_ellipsis_line_frac),
        ),
        (
            DropReason.repeated_lines,
            (of(Signal.duplicate_line_frac) > limits.max_duplicate_line_frac)
            | (of(Signal.duplicate_line_char_frac) > limits.max_duplicate_line_char_frac),
        ),
        (
            DropReason.repeated_paragraphs,
            (of(Signal.duplicate_paragraph_frac) > limits.max_duplicate_paragraph_frac)
            | (of(Signal.duplicate_paragraph_char_frac) > limits.max_duplicate_paragraph_char_frac),
        ),
        (
            DropReason.repeated_phrases,
            long & _any_above(signals, limits, "top_{}_gram_frac", (2, 3, 4)),
        ),
        (
            DropReason.repeated_passages,
            long & _any_above(signals, limits, "duplicate_{}_gram_frac", (5, 6, 7, 8, 9, 10)),
        ),
    ]


def _any_above(
    signals: Signals, limits: Limits, name: str, sizes: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    hit = np.zeros(len(signals.values), dtype=bool)
    for n in sizes:
        signal = name.format(n)
        hit |= signals.of(Signal(signal)) > getattr(limits, f"max_{signal}")
    return hit
