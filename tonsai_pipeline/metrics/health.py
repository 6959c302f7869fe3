"""Generated texts -> whether they are text at all: script, encoding, repetition, language, emptiness.

    texts, languages asked for, ended ──measure_health──▶ one Health each ──summarize──▶ shares and means

A broken model is seen here long before an answer is right or wrong. A number means something beside the same number
of the corpus, cut to the same length.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.metrics.answers import answer_units
from tonsai_pipeline.text import (
    NormalizeOptions,
    clusters,
    normalize_batch,
    normalize_batch_report,
    script_shares_batch,
)

_REPLACEMENT = "\ufffd"
#: Marks, and a coeng with its base, that hang on the last cluster of the prompt.
_HANGS_ON_PROMPT = re.compile("^(?:\u17d2[\u1780-\u17b3]|[\u17b6-\u17d3\u17dd])+")
#: What a cut leaves of a cluster or a character.
_CUT = re.compile("[\u17d2\ufffd]+$")
#: Stands for a cluster that no word has.
_PLAIN = "\u1780"
#: Units of an n-gram of `distinct_4`.
_NGRAM = 4
#: A text whose longest repeat is this share of it says one thing twice and nothing else.
_MIN_LOOP_FRAC = 0.25
#: A text shorter than this is too short to be called a loop.
_MIN_LOOP_UNITS = 16
#: Of the letters, from which a text is in the language of its prompt.
_MIN_OWN_SCRIPT_FRAC = 0.5


@dataclass(frozen=True)
class Health:
    """What one text looks like.

    Args:
        is_empty: Nothing but spaces.
        khmer_frac: Share of Khmer letters among letters; 0 without letters.
        latin_frac: The same of Latin ones.
        num_replacement: Characters that stand for bytes which are no UTF-8.
        num_clusters: Khmer clusters.
        num_invalid_clusters: Those that no Khmer word has, and marks without a base.
        is_stable: Whether the corpus normalizer leaves the text as it is, invalid clusters aside: what no word has is
            no other way to write a word.
        num_zwsp: Zero-width spaces.
        distinct_4: Distinct 4-grams of units per 4-gram; 1 for a text of fewer units.
        longest_repeat_frac: Longest stretch of units that occurs twice without overlap, as a share of the text.
        is_loop: `longest_repeat_frac` is a quarter of a text that is not tiny.
        is_right_language: At least half of the letters are of the script asked for. None for a short text without
            letters, such as the full stop that ends the prompt's sentence.
        ended: Whether the model ended the text itself.
    """

    is_empty: bool
    khmer_frac: float
    latin_frac: float
    num_replacement: int
    num_clusters: int
    num_invalid_clusters: int
    is_stable: bool
    num_zwsp: int
    distinct_4: float
    longest_repeat_frac: float
    is_loop: bool
    is_right_language: bool | None
    ended: bool


def measure_health(
    texts: Sequence[str],
    languages: Sequence[str],
    ended: Sequence[bool],
    options: NormalizeOptions | None = None,
) -> list[Health]:
    """Measure texts.

    Args:
        texts: What was written, without the prompt.
        languages: `khm` or `eng`: what each text should be in.
        ended: Whether each ended by itself.
        options: How the corpus was normalized.
    """
    options = options or NormalizeOptions()
    whole = [_whole(text, end) for text, end in zip(texts, ended, strict=True)]
    array = pa.array(whole, pa.large_string())
    canonical, counts = normalize_batch_report(array, options)
    shares = script_shares_batch(array)
    stable = _are_stable(whole, canonical.to_pylist(), options)
    found = []
    for i, text in enumerate(whole):
        units = _numbered(answer_units(text))
        repeat = longest_repeat(units) / max(1, len(units))
        khmer, latin = shares.field("khmer_frac")[i].as_py(), shares.field("latin_frac")[i].as_py()
        found.append(
            Health(
                is_empty=not text.strip(),
                khmer_frac=khmer,
                latin_frac=latin,
                num_replacement=text.count(_REPLACEMENT),
                num_clusters=counts[i]["num_clusters"].as_py(),
                num_invalid_clusters=counts[i]["num_invalid_clusters"].as_py()
                + counts[i]["num_orphan_marks"].as_py(),
                is_stable=stable[i],
                num_zwsp=counts[i]["num_zwsp"].as_py(),
                distinct_4=distinct(units, _NGRAM),
                longest_repeat_frac=repeat,
                is_loop=len(units) >= _MIN_LOOP_UNITS and repeat >= _MIN_LOOP_FRAC,
                is_right_language=None
                if not shares.field("num_letters")[i].as_py() and len(units) < _MIN_LOOP_UNITS
                else (khmer if languages[i] == "khm" else latin) >= _MIN_OWN_SCRIPT_FRAC,
                ended=ended[i],
            )
        )
    return found


def summarize(healths: Sequence[Health]) -> dict[str, float]:
    """Return shares and means over texts, by the names that reports and gates use.

    Raises:
        ValueError: No text.
    """
    if not healths:
        raise ValueError("no texts to summarize")
    written = [health for health in healths if not health.is_empty]
    in_letters = [health for health in written if health.is_right_language is not None]
    num_clusters = sum(health.num_clusters for health in written)

    def share(name: str, texts: Sequence[Health]) -> float:
        return sum(getattr(health, name) for health in texts) / max(1, len(texts))

    return {
        "num_texts": len(healths),
        "empty_frac": share("is_empty", healths),
        "ended_frac": share("ended", healths),
        "khmer_frac": share("khmer_frac", written),
        "replacement_frac": sum(health.num_replacement > 0 for health in written)
        / max(1, len(written)),
        "invalid_cluster_frac": sum(health.num_invalid_clusters for health in written)
        / max(1, num_clusters),
        "stable_frac": share("is_stable", written),
        "zwsp_frac": sum(health.num_zwsp > 0 for health in written) / max(1, len(written)),
        "distinct_4": share("distinct_4", written),
        "longest_repeat_frac": share("longest_repeat_frac", written),
        "loop_frac": share("is_loop", written),
        "right_language_frac": share("is_right_language", in_letters),
    }


def distinct(units: npt.NDArray[np.int64], size: int) -> float:
    """Return distinct n-grams per n-gram; 1 for fewer units than one n-gram.

    Example:
        >>> distinct(np.array([1, 2, 1, 2, 1, 2]), 2)
        0.4
    """
    if len(units) < size:
        return 1.0
    ngrams = np.lib.stride_tricks.sliding_window_view(units, size)
    return len(np.unique(ngrams, axis=0)) / len(ngrams)


def longest_repeat(units: npt.NDArray[np.int64]) -> int:
    """Return the length of the longest stretch that occurs again without overlapping itself.

    Example:
        >>> longest_repeat(np.array([5, 6, 7, 9, 5, 6, 7]))
        3
    """
    longest = 0
    for shift in range(1, len(units)):
        if shift <= longest or len(units) - shift <= longest:
            continue
        differing = np.flatnonzero(units[:-shift] != units[shift:])
        runs = np.diff(differing, prepend=-1, append=len(units) - shift) - 1
        longest = max(longest, min(shift, int(runs.max())))
    return longest


def _numbered(units: Sequence[str]) -> npt.NDArray[np.int64]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(unit, len(numbers)) for unit in units], dtype=np.int64)


def _are_stable(
    texts: Sequence[str], canonical: Sequence[str], options: NormalizeOptions
) -> list[bool]:
    """Tell which texts the normalizer leaves as they are, with a plain letter in the place of each invalid cluster."""
    changed = [i for i, (text, own) in enumerate(zip(texts, canonical, strict=True)) if text != own]
    cut = [_pieces(texts[i]) for i in changed]
    pieces = pa.array([piece for own in cut for piece in own], pa.large_string())
    counts = normalize_batch_report(pieces, options)[1]
    columns = [
        counts.field(name).to_pylist() for name in ("num_invalid_clusters", "num_orphan_marks")
    ]
    broken = zip(*columns, strict=True)
    sound = ["".join(_PLAIN if any(next(broken)) else piece for piece in own) for own in cut]
    again = normalize_batch(pa.array(sound, pa.large_string()), options).to_pylist()
    stable = [True] * len(texts)
    for i, text, own in zip(changed, sound, again, strict=True):
        stable[i] = text == own
    return stable


def _pieces(text: str) -> list[str]:
    """Cut a text into its clusters and what stands between them."""
    borders = [0, *clusters(text).ravel().tolist(), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(borders) if end > start]


def _whole(text: str, ended: bool) -> str:
    """Leave out what a cut made of a cluster: at the start it belongs to the prompt, at the end to the limit."""
    text = _HANGS_ON_PROMPT.sub("", text)
    return text if ended else _CUT.sub("", text)
