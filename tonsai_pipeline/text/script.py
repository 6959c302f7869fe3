"""Texts -> the share of each script, and the language: khm, eng, mixed or other.

Khmer script is written by Khmer and few others, so the share of Khmer letters decides; words tell
Khmer from Pali and from the minority languages of Cambodia, letter n-grams tell English from what
else is written in Latin letters. A fastText model, if there is one, has the last word on both.
"""

# pyarrow.compute makes its functions when it is loaded; no checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from functools import cache
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.text.lexicon import Lexicon
from tonsai_pipeline.text.ngrams import ngram_log_odds
from tonsai_pipeline.text.stop_words import ENGLISH, SPACED_KHMER, STOP_WORDS
from tonsai_pipeline.text.stop_words import KHMER as KHMER_WORDS
from tonsai_pipeline.text.tally import (
    ACCENTED,
    CLUSTERS,
    KHMER,
    LATIN,
    ODD,
    OTHER,
    WORDS,
    Tally,
)
from tonsai_pipeline.text.utf8 import Texts, Utf8Batch, batch_of_arrow, batch_of_text

Language = Literal["khm", "eng", "mixed", "other"]

#: A text of this share of Khmer letters is Khmer; of less than `MIN_MIXED_FRAC`, it is not even
#: mixed. Of 2,560 help pages 1,201 lie between: they are routed, not dropped.
MIN_KHMER_FRAC = 0.7
MIN_MIXED_FRAC = 0.1

# What the words must say for another language; measured on the data that docs/khmer.md names.
_MIN_FOREIGN_WORDS = 3
_MIN_CLUSTERS_TO_JUDGE = 200
_MIN_KHMER_WORDS_PER_CLUSTER = 0.004
_MIN_ODD_LETTERS = 3
_MIN_ODD_PER_CLUSTER = 0.02
_MIN_LATIN_FRAC = 0.5
_MAX_ACCENTED_FRAC = 0.04
_MIN_WORDS_TO_JUDGE = 50
_MIN_ENGLISH_WORD_FRAC = 0.03
#: Letter n-grams speak fully from so many Latin letters on; a shorter text's log-odds count in proportion.
_LETTERS_OF_FULL_WEIGHT = 150
_MAX_FOREIGN_LOG_ODDS = -1.0
#: With so many frequent English words even a text full of foreign names is English (other languages: p99.9 0.20).
_ENGLISH_BEYOND_DOUBT = 0.24

# What a model must say to overrule: fastText is unsure about short texts.
_MIN_CONFIDENCE = 0.8
_MIN_CHARS_FOR_MODEL = 40
_KHMER_LABELS = ("__label__km", "__label__khm_Khmr", "__label__khm")
_ENGLISH_LABELS = ("__label__en", "__label__eng_Latn", "__label__eng")


class LanguageModel(Protocol):
    """A fastText language identifier (lid.176, GlotLID, OpenLID)."""

    def predict(self, text: list[str], k: int = 1) -> Any:
        """Return for each line the labels, best first, and for each line their probabilities."""
        ...


def script_shares_batch(texts: Texts) -> pa.StructArray:
    """Return the share of Khmer and of Latin letters in each text.

    Returns:
        Structs of khmer_frac, latin_frac (float64, of all letters; 0 without letters) and
        num_letters (int64). Khmer vowels and signs count as letters: they are written like them.
    """
    return script_shares(tally_batch(texts))


def script_shares(tally: Tally) -> pa.StructArray:
    """Return what `script_shares_batch` does of texts of which the tally is known."""
    total = _num_letters(tally)
    shares = tally.counts[:, [KHMER, LATIN]] / np.maximum(total, 1)[:, None]
    columns = [pa.array(np.ascontiguousarray(shares[:, column])) for column in (0, 1)]
    names = ["khmer_frac", "latin_frac", "num_letters"]
    return pa.StructArray.from_arrays([*columns, pa.array(total)], names)


def languages_batch(texts: Texts, model: LanguageModel | None = None) -> pa.StringArray:
    """Return the language of each text: khm, eng, mixed or other; null where the text is null.

    `mixed` is a text with Khmer of less than `MIN_KHMER_FRAC`. A text without letters is `other`.

    Args:
        texts: Arrow strings, valid UTF-8.
        model: asked about texts that the words call khm or eng; where it is sure of another
            language the text is `other`.
    """
    return languages(texts, tally_batch(texts), model)


def languages(texts: Texts, tally: Tally, model: LanguageModel | None = None) -> pa.StringArray:
    """Return what `languages_batch` does of texts of which the tally (`tally_batch`) is known."""
    batch = batch_of_arrow(texts)
    names = _decide(batch, tally).astype(object)
    if model is not None:
        _ask_model(batch, names, model)
    mask = texts.is_null().to_numpy(zero_copy_only=False) if texts.null_count else None
    return pa.array(names, type=pa.string(), mask=mask)


def language(text: str, model: LanguageModel | None = None) -> Language:
    """Return the language of one text.

    Raises:
        ValueError: the text holds a lone surrogate; the position is named.

    >>> language("ខ្ញុំបានទៅផ្សារ"), language("She went to the market."), language("ចុច OK / Cancel")
    ('khm', 'eng', 'mixed')
    """
    return languages_batch(_array_of(text), model)[0].as_py()


class ParagraphLanguage(NamedTuple):
    """A paragraph, `text[start:end]` in code points, and its language."""

    start: int
    end: int
    language: Language


def paragraph_languages(text: str, model: LanguageModel | None = None) -> list[ParagraphLanguage]:
    r"""Return the language of each line that is not blank: how a mixed page is taken apart.

    >>> page = "She went to the market.\n\nខ្ញុំបានទៅផ្សារ"
    >>> [(page[start:end], name) for start, end, name in paragraph_languages(page)]
    [('She went to the market.', 'eng'), ('ខ្ញុំបានទៅផ្សារ', 'khm')]
    """
    return paragraph_languages_batch(_array_of(text), model)[0]


def paragraph_languages_batch(
    texts: Texts, model: LanguageModel | None = None
) -> list[list[ParagraphLanguage]]:
    """Return what `paragraph_languages` does for each text; a null has no paragraphs."""
    pages = [[] if text is None else _lines(text) for text in texts.to_pylist()]
    bodies = [body for page in pages for _, body in page]
    names = iter(languages_batch(pa.array(bodies, pa.large_string()), model).to_pylist())
    return [
        [ParagraphLanguage(start, start + len(body), next(names)) for start, body in page]
        for page in pages
    ]


def paragraph_bytes(texts: Texts, model: LanguageModel | None = None) -> dict[str, int]:
    r"""Return how many UTF-8 bytes the paragraphs of all texts together have, by language.

    Example:
        >>> paragraph_bytes(pa.array(["The river rises. It rained.\n\n ទឹកទន្លេឡើងខ្ពស់ណាស់។"]))
        {'eng': 27, 'khm': 63}
    """
    bodies = [body for text in texts.to_pylist() if text is not None for _, body in _lines(text)]
    paragraphs = pa.array(bodies, pa.large_string())
    sizes = pc.binary_length(paragraphs)
    table = pa.table({"lang": languages_batch(paragraphs, model), "size": sizes})
    sums = table.group_by("lang").aggregate([("size", "sum")]).to_pylist()
    return {row["lang"]: row["size_sum"] for row in sums}


# --- how ------------------------------------------------------------------------------------------


def _array_of(text: str) -> pa.LargeStringArray:
    batch_of_text(text)  # names a lone surrogate; Arrow's own error speaks of a codec
    return pa.array([text], pa.large_string())


def _lines(text: str) -> list[tuple[int, str]]:
    """Return the lines that are not blank, stripped, and where each starts, in code points."""
    lines, at = [], 0
    for line in text.splitlines(keepends=True):
        if body := line.strip():
            lines.append((at + len(line) - len(line.lstrip()), body))
        at += len(line)
    return lines


_NAMES: npt.NDArray[np.str_] = np.array(["other", "khm", "eng", "mixed"])
_OTHER_LANGUAGE, _KHM, _ENG, _MIXED = range(4)


@cache
def _lexicon() -> Lexicon:
    return Lexicon(STOP_WORDS, SPACED_KHMER)


def tally_batch(texts: Texts) -> Tally:
    """Return what `languages`, `script_shares` and `legacy_fonts.cut_damage` decide by."""
    return _lexicon().tally(batch_of_arrow(texts))


def _num_letters(tally: Tally) -> npt.NDArray[np.int64]:
    return tally.of(KHMER) + tally.of(LATIN) + tally.of(OTHER)


def _decide(batch: Utf8Batch, tally: Tally) -> npt.NDArray[np.str_]:
    """Decide by script, then by words."""
    total = np.maximum(_num_letters(tally), 1)
    khmer_frac, latin_frac = tally.of(KHMER) / total, tally.of(LATIN) / total
    found = np.full(len(total), _OTHER_LANGUAGE)
    found[(khmer_frac < MIN_MIXED_FRAC) & (latin_frac >= _MIN_LATIN_FRAC)] = _ENG
    found[khmer_frac >= MIN_MIXED_FRAC] = _MIXED
    found[khmer_frac >= MIN_KHMER_FRAC] = _KHM
    found[(found == _KHM) & _is_not_khmer(tally)] = _OTHER_LANGUAGE
    latin = tally.of(LATIN) > tally.of(KHMER) + tally.of(OTHER)
    english = ngram_log_odds("english", batch, latin)
    found[(found == _ENG) & _is_not_english(tally, english)] = _OTHER_LANGUAGE
    return _NAMES[found]


def _is_not_khmer(tally: Tally) -> npt.NDArray[np.bool_]:
    """Tell which texts in Khmer script are in Pali or a minority language."""
    khmer, foreign = _words_for_and_against(tally, KHMER_WORDS)
    clusters = np.maximum(tally.of(CLUSTERS), 1)
    by_words = (foreign >= _MIN_FOREIGN_WORDS) & (foreign > khmer)
    wordless = khmer / clusters < _MIN_KHMER_WORDS_PER_CLUSTER
    odd = tally.of(ODD)
    by_letters = (odd >= _MIN_ODD_LETTERS) & (odd / clusters >= _MIN_ODD_PER_CLUSTER)
    silent = wordless & (clusters >= _MIN_CLUSTERS_TO_JUDGE)
    return by_words | silent | (by_letters & (odd > khmer))


def _is_not_english(tally: Tally, log_odds: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell which texts in Latin letters are in another language, or in none; `log_odds` of English by n-grams."""
    english, foreign = _words_for_and_against(tally, ENGLISH)
    words = np.maximum(tally.of(WORDS), 1)
    latin = np.maximum(tally.of(LATIN), 1)
    accented = tally.of(ACCENTED) / latin > _MAX_ACCENTED_FRAC
    by_words = (foreign >= _MIN_FOREIGN_WORDS) & (foreign > english)
    wordless = english / words < _MIN_ENGLISH_WORD_FRAC
    weight = np.minimum(tally.of(LATIN) / _LETTERS_OF_FULL_WEIGHT, 1.0)
    by_ngrams = log_odds * weight < _MAX_FOREIGN_LOG_ODDS
    by_ngrams &= english / words < _ENGLISH_BEYOND_DOUBT
    return by_words | by_ngrams | (wordless & (accented | (words >= _MIN_WORDS_TO_JUDGE)))


def _words_for_and_against(
    tally: Tally, name: str
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the hits of one list, and of the best list that stands for `other`."""
    names = _lexicon().names
    own = tally.listed[:, names.index(name)]
    others = [index for index, other in enumerate(names) if other not in (KHMER_WORDS, ENGLISH)]
    return own, tally.listed[:, others].max(axis=1)


def _ask_model(batch: Utf8Batch, languages: npt.NDArray[np.object_], model: LanguageModel) -> None:
    """Turn `khm` and `eng` into `other` where the model is sure of a third language."""
    expected = {"khm": _KHMER_LABELS, "eng": _ENGLISH_LABELS}
    asked, lines = [], []
    for row, name in enumerate(languages):
        text = batch.data[batch.offsets[row] : batch.offsets[row + 1]].tobytes().decode("utf-8")
        if name in expected and len(text) >= _MIN_CHARS_FOR_MODEL:
            asked.append(row)
            lines.append(text.replace("\n", " "))
    # A list, never a string: fastText 0.9.3 fails on a string under numpy 2.
    labels, probabilities = model.predict(lines, k=1) if lines else ([], [])
    for row, label, probability in zip(asked, labels, probabilities, strict=True):
        if label[0] not in expected[str(languages[row])] and probability[0] >= _MIN_CONFIDENCE:
            languages[row] = "other"
