"""Signals and limits -> keep, or drop with the first reason that holds.

    Signals ──judge(limits)──▶ reasons (num_docs,) None | DropReason

A rate is a reason only where the text is long enough to have one: `too_few`, `too_many`.

A reason states the fact about the document. The order of the list is the order of the checks: what a person
would say first comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum, auto

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.quality.signals import Signal, Signals
from tonsai_pipeline.quality.units import CLUSTERS_PER_WORD

#: Bumped when the same signals and limits would get another verdict.
RULES_VERSION = 3


class DropReason(StrEnum):
    """Why a document was dropped: a closed list."""

    wrong_language = auto()
    broken_khmer = auto()
    listed_words = auto()
    too_few_words = auto()
    too_many_symbols = auto()
    too_many_digits = auto()
    too_few_letters = auto()
    too_many_placeholders = auto()
    too_many_links = auto()
    words_too_short = auto()
    words_too_long = auto()
    too_many_interface_words = auto()
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
    min_words_of_sentence: float
    min_words_alone: float
    min_clause_words: float
    min_stop_word_frac: float
    min_letter_frac: float
    max_symbol_frac: float
    max_digit_frac: float
    min_mean_word_chars: float
    max_mean_word_chars: float
    max_placeholders_per_1000_chars: float
    max_links_per_1000_chars: float
    min_sentences_per_1000_chars: float
    min_ended_char_frac: float
    max_interface_word_frac: float
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
#: How sure a rate must be: the chance that text at the limit itself has a count as extreme as the one seen.
#: 2 % is one wrong verdict in fifty at the very limit; text inside it is accused less often.
_Z = 2.054  # the normal deviate of 2 %
#: Digits, symbols and the like come in runs (a date, a rule of dashes): so many of them are one observation.
_CHARS_A_RUN = 4.0
#: A share of lines says nothing about a document of fewer lines, one of passages nothing about one of fewer words
#: (Gopher drops those under 50 words unread).
_MIN_LINES = 5
_MIN_WORDS_TO_REPEAT = 50
#: A phrase must come so often before its share counts: a name said thrice in a short report is no spam.
_MIN_PHRASE_REPEATS = 10
#: Unpunctuated text this dense in function words is speech or running prose; lists of titles lie below (MASC
#: telephone transcripts p3 0.41, bug titles p97 0.27).
_MIN_STOP_WORD_FRAC_OF_RUNNING_TEXT = 0.30
#: Words of interfaces before they say anything; ambiguous ones count half.
_MIN_INTERFACE_WORDS = 2
#: Lines of verse are short too, but hold clauses: function words and verbs a line, at least.
_MIN_CLAUSE_WORDS_PER_LINE = 0.7
#: A headline has a function word or verb in sixteen words, at least; lists of names have fewer.
_MIN_CLAUSE_WORD_FRAC = 0.06
_MIN_WORDS_OF_HEADLINE = 3


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


def all_reasons(
    signals: Signals, limits: Limits, *, bad_clusters_frac: npt.NDArray[np.floating] | None = None
) -> list[tuple[DropReason, ...]]:
    """Return every reason against each document, in the order of the checks; arguments as for `judge`."""
    found: list[list[DropReason]] = [[] for _ in signals.values]
    for reason, hit in _checks(signals, limits, bad_clusters_frac):
        for row in np.flatnonzero(hit):
            found[row].append(reason)
    return [tuple(reasons) for reasons in found]


def too_few(
    count: npt.NDArray[np.floating], expected: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Tell where a count is too small for the one that text at its limit would have.

    True where a Poisson variable of mean `expected` is at most `count` with a chance of 2 % or less. Seeing none is
    no evidence up to an expected 3.9.

    Source: Wilson and Hilferty, "The Distribution of Chi-Square" (1931), for the quantile of the gamma
        distribution; at a count of 0 it is 0.4 % off.

    Example:
        >>> too_few(np.array([0.0, 0.0, 3.0]), np.array([3.8, 4.0, 8.0])).tolist()
        [False, True, False]
    """
    shape = count + 1.0
    return expected >= shape * (1 - 1 / (9 * shape) + _Z / (3 * np.sqrt(shape))) ** 3


def too_many(
    count: npt.NDArray[np.floating], expected: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Tell where a count is too large for the one that text at its limit would have; as `too_few`.

    Example:
        >>> too_many(np.array([1.0, 4.0]), np.array([0.5, 0.5])).tolist()
        [False, True]
    """
    shape = np.maximum(count, 1e-9)
    root = np.maximum(1 - 1 / (9 * shape) - _Z / (3 * np.sqrt(shape)), 0.0)
    return expected < shape * root**3


def reads_as_sentence(signals: Signals) -> npt.NDArray[np.bool_]:
    """Tell which short texts end as a sentence does, have a word that only sentences have, and speak of no program.

    A menu string ends in nothing, a colon or an ellipsis, a heading has no function word, a line of help is about
    buttons and files.
    """
    of = signals.of
    ends = of(Signal.last_line_ends) > 0
    return ends & (_clause_words(signals) >= 1) & (of(Signal.num_interface_words) < 1)


def reads_as_headline(signals: Signals, limits: Limits) -> npt.NDArray[np.bool_]:
    """Tell which short texts have the words of a clause, whatever they end in: headlines, posts, cut sentences."""
    words = signals.of(Signal.num_words)
    needed = np.maximum(limits.min_clause_words, _MIN_CLAUSE_WORD_FRAC * words)
    clause = (words >= _MIN_WORDS_OF_HEADLINE) & (_clause_words(signals) >= needed)
    return clause | (limits.min_clause_words == 0)


def _clause_words(signals: Signals) -> npt.NDArray[np.float32]:
    """Function words and verbs."""
    return signals.of(Signal.num_stop_words) + signals.of(Signal.num_verbs)


def _checks(
    signals: Signals, limits: Limits, bad_clusters_frac: npt.NDArray[np.floating] | None
) -> list[tuple[DropReason, npt.NDArray[np.bool_]]]:
    of = signals.of
    words, chars = of(Signal.num_words), of(Signal.num_chars)
    lines = of(Signal.num_lines)
    listed = lines >= _MIN_LINES
    spaced = of(Signal.khmer_frac) < 0.5  # mean word length says nothing about Khmer
    runs = chars / _CHARS_A_RUN
    clauses = _clause_words(signals)
    bad = np.zeros(len(words)) if bad_clusters_frac is None else bad_clusters_frac
    clusters = words * CLUSTERS_PER_WORD
    return [
        (
            DropReason.broken_khmer,
            too_many(bad * clusters, limits.max_bad_clusters_frac * clusters),
        ),
        (DropReason.listed_words, of(Signal.listed_word_frac) > limits.max_listed_word_frac),
        (
            DropReason.too_few_words,
            (words < limits.min_words)
            & ~((words >= limits.min_words_of_sentence) & reads_as_sentence(signals)),
        ),
        (
            DropReason.too_many_symbols,
            too_many(of(Signal.symbol_frac) * runs, limits.max_symbol_frac * runs),
        ),
        (
            DropReason.too_many_digits,
            too_many(of(Signal.digit_frac) * runs, limits.max_digit_frac * runs),
        ),
        (
            DropReason.too_few_letters,
            too_many((1 - of(Signal.letter_frac)) * runs, (1 - limits.min_letter_frac) * runs),
        ),
        (
            DropReason.too_many_placeholders,
            _too_many_per_1000(signals, limits, "placeholders_per_1000_chars"),
        ),
        (
            DropReason.too_many_links,
            _too_many_per_1000(signals, limits, "links_per_1000_chars"),
        ),
        (
            DropReason.words_too_short,
            spaced & (of(Signal.mean_word_chars) < limits.min_mean_word_chars) & (words >= 10),
        ),
        (
            DropReason.words_too_long,
            spaced & (of(Signal.mean_word_chars) > limits.max_mean_word_chars) & (words >= 10),
        ),
        (
            DropReason.too_many_interface_words,
            (words < limits.min_words_alone)
            & (of(Signal.num_interface_words) >= _MIN_INTERFACE_WORDS)
            & (of(Signal.num_interface_words) > limits.max_interface_word_frac * words),
        ),
        (
            DropReason.too_few_stop_words,
            too_few(clauses, limits.min_stop_word_frac * words),
        ),
        (
            DropReason.short_without_sentence,
            (words < limits.min_words_alone)
            & (
                (of(Signal.ended_char_frac) < 0.5)
                | ((of(Signal.last_line_ends) == 0) & (lines == 1))
            )
            & ~reads_as_headline(signals, limits),
        ),
        (
            DropReason.too_few_sentences,
            (of(Signal.stop_word_frac) < _MIN_STOP_WORD_FRAC_OF_RUNNING_TEXT)
            & (
                too_few(
                    of(Signal.num_sentences), limits.min_sentences_per_1000_chars * chars / 1000
                )
                | (listed & (of(Signal.ended_char_frac) < limits.min_ended_char_frac))
            ),
        ),
        (
            DropReason.too_many_short_lines,
            listed
            & (of(Signal.short_char_frac) > limits.max_short_char_frac)
            & (clauses < _MIN_CLAUSE_WORDS_PER_LINE * lines),
        ),
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
            listed
            & (
                (of(Signal.duplicate_line_frac) > limits.max_duplicate_line_frac)
                | (of(Signal.duplicate_line_char_frac) > limits.max_duplicate_line_char_frac)
            ),
        ),
        (
            DropReason.repeated_paragraphs,
            (of(Signal.duplicate_paragraph_frac) > limits.max_duplicate_paragraph_frac)
            | (of(Signal.duplicate_paragraph_char_frac) > limits.max_duplicate_paragraph_char_frac),
        ),
        (DropReason.repeated_phrases, _repeats_a_phrase(signals, limits)),
        (DropReason.repeated_passages, _repeats_passages(signals, limits)),
    ]


def _too_many_per_1000(signals: Signals, limits: Limits, name: str) -> npt.NDArray[np.bool_]:
    thousands = signals.of(Signal.num_chars) / 1000
    return too_many(
        signals.of(Signal(f"num_{name}")) * thousands, getattr(limits, f"max_{name}") * thousands
    )


def _repeats_a_phrase(signals: Signals, limits: Limits) -> npt.NDArray[np.bool_]:
    """Tell where one phrase of 2 to 4 words fills too much of the text, and comes often enough to say so.

    A phrase of n words that comes k times in W words fills about k n / W of them.
    """
    words = signals.of(Signal.num_words)
    hit = np.zeros(len(words), dtype=bool)
    for n in (2, 3, 4):
        share = signals.of(Signal(f"top_{n}_gram_frac"))
        often = share * words >= _MIN_PHRASE_REPEATS * n
        hit |= often & (share > getattr(limits, f"max_top_{n}_gram_frac"))
    return hit


def _repeats_passages(signals: Signals, limits: Limits) -> npt.NDArray[np.bool_]:
    hit = np.zeros(len(signals.values), dtype=bool)
    for n in (5, 6, 7, 8, 9, 10):
        signal = f"duplicate_{n}_gram_frac"
        hit |= signals.of(Signal(signal)) > getattr(limits, f"max_{signal}")
    return hit & (signals.of(Signal.num_words) >= _MIN_WORDS_TO_REPEAT)
