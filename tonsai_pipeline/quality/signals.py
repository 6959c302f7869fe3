"""Texts (Arrow) -> one row of signals a document: what can be counted without understanding it.

    texts ──page: characters, lines──┐
          ──units: words, repeats────┴──▶ Signals (num_docs, len(Signal)) float32

The families are Gopher's, C4's and FineWeb's, carried over to a script without spaces: words are estimated
from clusters, stop words are matched on cluster boundaries, sentence ends include khan and bariyoosan.

Source: Rae et al. 2021 (Gopher), appendix A; Raffel et al. 2020 (C4), section 2.2; Penedo et al. 2024
    (FineWeb), section 3.6; Penedo et al. 2025 (FineWeb-2), on thresholds per language.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.quality.characters import page_classes
from tonsai_pipeline.quality.page import Count, scan_page
from tonsai_pipeline.quality.phrases import Phrases, compile_lists, compile_phrases, count_lists
from tonsai_pipeline.quality.repeats import Scratch, gram_shares, repeated_shares
from tonsai_pipeline.quality.units import (
    CLUSTERS,
    CLUSTERS_PER_WORD,
    INNER_CAPITAL,
    UPPER_CASE,
    WORD_CHARS,
    WORD_COUNTS,
    WORDS,
    WORDS_WITH_LETTER,
    scan_units,
)
from tonsai_pipeline.text.characters import character_kinds
from tonsai_pipeline.text.utf8 import Texts, batch_of_arrow

#: Bumped when the same text would get other signals.
SIGNALS_VERSION = 2


class Signal(StrEnum):
    """Names of the signals, in the order of the columns. `_frac` is 0..1; counts are per document."""

    num_chars = auto()
    num_words = auto()
    num_lines = auto()
    num_sentences = auto()
    khmer_frac = auto()
    letter_frac = auto()
    digit_frac = auto()
    symbol_frac = auto()
    punctuation_frac = auto()
    latin1_frac = auto()
    inner_capital_frac = auto()
    upper_case_frac = auto()
    lettered_word_frac = auto()
    mean_word_chars = auto()
    stop_word_frac = auto()
    num_stop_words = auto()
    num_sentences_per_1000_chars = auto()
    mean_line_chars = auto()
    ended_line_frac = auto()
    ended_char_frac = auto()
    short_line_frac = auto()
    short_char_frac = auto()
    bullet_line_frac = auto()
    ellipsis_line_frac = auto()
    duplicate_line_frac = auto()
    duplicate_line_char_frac = auto()
    duplicate_paragraph_frac = auto()
    duplicate_paragraph_char_frac = auto()
    top_2_gram_frac = auto()
    top_3_gram_frac = auto()
    top_4_gram_frac = auto()
    duplicate_5_gram_frac = auto()
    duplicate_6_gram_frac = auto()
    duplicate_7_gram_frac = auto()
    duplicate_8_gram_frac = auto()
    duplicate_9_gram_frac = auto()
    duplicate_10_gram_frac = auto()
    num_links_per_1000_chars = auto()
    num_placeholders_per_1000_chars = auto()
    num_addresses = auto()
    num_digit_runs = auto()
    num_listed_words = auto()
    listed_word_frac = auto()
    num_verbs = auto()
    num_interface_words = auto()
    last_line_ends = auto()


class Signals(NamedTuple):
    """Signals of a batch: float32, shape (num_docs, len(Signal))."""

    values: npt.NDArray[np.float32]

    def of(self, signal: Signal) -> npt.NDArray[np.float32]:
        """Return one signal of every document, shape (num_docs,)."""
        return self.values[:, _COLUMNS[signal]]

    def table(self) -> pa.Table:
        """Return the signals as an Arrow table, one column each."""
        return pa.table({signal.value: self.of(signal) for signal in Signal})


_COLUMNS: Mapping[Signal, int] = {signal: index for index, signal in enumerate(Signal)}
_NO_PHRASES = compile_phrases(())


def measure(texts: Texts, *, listed_words: Phrases | None = None) -> Signals:
    r"""Measure every text.

    Args:
        texts: Arrow strings, normalized; a null is an empty text.
        listed_words: The user's word list (toxicity, say); None for none.

    Returns:
        The signals. An empty text has zeros.

    Raises:
        ValueError: `texts` holds something other than strings.

    Example:
        >>> page = pa.array(["The cat is on the mat. It is happy.", "File\nEdit\nView"])
        >>> found = measure(page)
        >>> found.of(Signal.num_stop_words).tolist(), found.of(Signal.ended_char_frac).tolist()
        ([6.0, 0.0], [1.0, 0.0])
    """
    batch = batch_of_arrow(texts)
    num_docs = len(batch.offsets) - 1
    longest = int(np.diff(batch.offsets).max(initial=0)) + 2
    values = np.zeros((num_docs, len(Signal)), dtype=np.float32)
    listed = listed_words or _NO_PHRASES
    tables = page_classes(), character_kinds(), _known_words(), listed
    _measure_batch(*batch, *tables, longest, Scratch.of(longest), values)
    return Signals(values)


def word_list(name: str) -> list[str]:
    """Return the words of a list of this package, `stop_words_khm` for example."""
    path = resources.files("tonsai_pipeline.quality") / f"{name}.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


_STOP_WORDS, _VERBS, _INTERFACE_WORDS, _AMBIGUOUS_WORDS = range(4)


@cache
def _known_words() -> Phrases:
    """Return the table of function words, Khmer verbs and words of user interfaces, of both languages."""
    return compile_lists(
        [
            [*word_list("stop_words_khm"), *word_list("stop_words_eng")],
            word_list("verbs_khm"),
            [word for lang in ("khm", "eng") for word in word_list(f"interface_words_{lang}")],
            [
                word
                for lang in ("khm", "eng")
                for word in word_list(f"ambiguous_interface_words_{lang}")
            ],
        ]
    )


# --- compiled ---------------------------------------------------------------------------------

_NUM_COUNTS = len(Count)
_NUM_WORD_COUNTS = len(WORD_COUNTS)


@kernel
def _measure_batch(data, offsets, classes, kinds, known, listed, longest, scratch, out):
    counts = np.zeros(_NUM_COUNTS)
    words = np.zeros(_NUM_WORD_COUNTS)
    line_hash, par_hash, hashes = np.empty((3, longest), dtype=np.uint64)
    line_chars, par_chars, ends = np.empty((3, longest), dtype=np.int64)
    for doc in range(len(offsets) - 1):
        start, end = offsets[doc], offsets[doc + 1]
        if start == end:
            continue
        row = out[doc]
        num_lines, num_pars = scan_page(
            data, start, end, classes, counts, line_hash, line_chars, par_hash, par_chars
        )
        num_units = scan_units(data, start, end, kinds, hashes, ends, words)
        num_words = words[WORDS] + words[CLUSTERS] / CLUSTERS_PER_WORD
        _page_signals(counts, row)
        _word_signals(words, num_words, row)
        _list_signals(hashes, num_units, num_words, known, listed, row)
        row[_REPEATS], row[_REPEATS + 1] = repeated_shares(
            line_hash, line_chars, num_lines, scratch
        )
        row[_REPEATS + 2], row[_REPEATS + 3] = repeated_shares(
            par_hash, par_chars, num_pars, scratch
        )
        units_per_word = num_units / max(num_words, 1.0)
        gram_shares(hashes, ends, num_units, units_per_word, scratch, row[_REPEATS + 4 :])


@inner
def _list_signals(hashes, num_units, num_words, known, listed, row):
    """Fill in what the word lists find: this package's, and the user's."""
    found = np.zeros(4)
    count_lists(hashes, num_units, known.keys, known.marks, known.max_units, found)
    row[_STOPS] = min(1.0, found[_STOP_WORDS] / max(num_words, 1.0))
    row[_STOPS + 1] = found[_STOP_WORDS]
    row[_LISTED + 2] = found[_VERBS]
    row[_LISTED + 3] = found[_INTERFACE_WORDS] + 0.5 * found[_AMBIGUOUS_WORDS]
    if listed.max_units > 0:
        found[:] = 0
        covered = count_lists(hashes, num_units, listed.keys, listed.marks, listed.max_units, found)
        row[_LISTED] = found[0]
        row[_LISTED + 1] = covered / max(num_units, 1)


_STOPS = _COLUMNS[Signal.stop_word_frac]
_LISTED = _COLUMNS[Signal.num_listed_words]
_REPEATS = _COLUMNS[Signal.duplicate_line_frac]
_MEAN_LINE = _COLUMNS[Signal.mean_line_chars]
_LINKS = _COLUMNS[Signal.num_links_per_1000_chars]
_INNER = _COLUMNS[Signal.inner_capital_frac]


@inner
def _page_signals(counts, row):
    chars = max(counts[Count.CHARS], 1.0)
    visible = max(counts[Count.VISIBLE], 1.0)
    lines = max(counts[Count.LINES], 1.0)
    row[0] = counts[Count.CHARS]
    row[2] = counts[Count.LINES]
    row[3] = counts[Count.SENTENCES]
    row[4] = counts[Count.KHMER] / max(counts[Count.LETTERS], 1.0)
    row[5] = counts[Count.LETTERS] / visible
    row[6] = counts[Count.DIGITS] / visible
    row[7] = counts[Count.SYMBOLS] / visible
    row[8] = counts[Count.PUNCTUATION] / visible
    row[9] = counts[Count.LATIN1] / visible
    row[_MEAN_LINE - 1] = 1000.0 * counts[Count.SENTENCES] / chars
    row[_MEAN_LINE] = chars / lines
    row[_MEAN_LINE + 1] = counts[Count.ENDED_LINES] / lines
    row[_MEAN_LINE + 2] = counts[Count.ENDED_CHARS] / chars
    row[_MEAN_LINE + 3] = counts[Count.SHORT_LINES] / lines
    row[_MEAN_LINE + 4] = counts[Count.SHORT_CHARS] / chars
    row[_MEAN_LINE + 5] = counts[Count.BULLET_LINES] / lines
    row[_MEAN_LINE + 6] = counts[Count.ELLIPSIS_LINES] / lines
    row[_LINKS] = 1000.0 * counts[Count.LINKS] / chars
    row[_LINKS + 1] = 1000.0 * counts[Count.PLACEHOLDERS] / chars
    row[_LINKS + 2] = counts[Count.ADDRESSES]
    row[_LINKS + 3] = counts[Count.DIGIT_RUNS]
    row[_LISTED + 4] = counts[Count.LAST_LINE_ENDS]


@inner
def _word_signals(words, num_words, row):
    spaced = max(words[WORDS], 1.0)
    row[1] = num_words
    row[_INNER] = words[INNER_CAPITAL] / spaced
    row[_INNER + 1] = words[UPPER_CASE] / spaced
    row[_INNER + 2] = (words[WORDS_WITH_LETTER] + words[CLUSTERS]) / max(
        words[WORDS] + words[CLUSTERS], 1.0
    )
    row[_INNER + 3] = words[WORD_CHARS] / spaced
