r"""Text -> Khmer orthographic clusters, words of other scripts, and runs of one script.

A cluster is what a reader sees as one letter with all that hangs on it: a base, its subscripts
(coeng and base), vowel and signs. Khmer writes no spaces between words, so clusters are the
smallest unit that never cuts a letter in half; Python's `\w` does.

The compiled `next_unit` reads a UTF-8 buffer without a copy; shingling, language and quality
signals are built on it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.utf8 import Texts, batch_of_arrow, batch_of_text, decode

#: Kinds of units: `next_unit` returns `NO_UNIT` at the end of the text.
NO_UNIT, CLUSTER, WORD = 0, 1, 2

_APOSTROPHE, _RIGHT_QUOTE = 0x27, 0x2019
#: A letter of any script with its accents, or an emoji with its parts.
_LETTER = regex.compile(r"\X")
#: Code points; a longer "letter" is none.
_LONGEST_LETTER = 256

Script = Literal["khmer", "latin", "other", "none"]


class ScriptRun(NamedTuple):
    """A stretch of one script: `text[start:end]`, in code points."""

    start: int
    end: int
    script: Script


def clusters(text: str) -> npt.NDArray[np.int64]:
    """Return the Khmer orthographic clusters of a text.

    Returns:
        Offsets in code points, shape (num_clusters, 2): `text[start:end]` is a cluster.

    Examples:
        >>> word = "ខ្មែរ"
        >>> [word[start:end] for start, end in clusters(word)]
        ['ខ្មែ', 'រ']
    """
    return _units_of_kind(text, CLUSTER)


def words(text: str) -> npt.NDArray[np.int64]:
    """Return the words of English and of other scripts, as `clusters` does; numbers are words.

    A letter of a script that writes no spaces (Thai, Han) is a word by itself.

    >>> [text[a:b] for text in ["don't print ៥០ pages"] for a, b in words(text)]
    ["don't", 'print', '៥០', 'pages']
    """
    return _units_of_kind(text, WORD)


def num_settled(text: str) -> int:
    """Return how many code points at the start of a text look the same whatever is written after it.

    The last letter may still get a subscript, a vowel or an accent: shown before, it would change under the reader's
    eyes, or show a dotted circle.

    >>> word = "ខ្មែរ"
    >>> [num_settled(word[:n]) for n in range(1, 6)], num_settled(word + " ")
    ([0, 0, 0, 0, 4], 6)
    """
    if not text or text[-1].isspace() or len(text) > _LONGEST_LETTER:
        return len(text)
    spans = clusters(text)
    if len(spans) and spans[-1][1] == len(text):
        return int(spans[-1][0])
    return len(text) - len(_LETTER.findall(text)[-1])


def count_clusters_batch(texts: Texts) -> pa.Int64Array:
    """Return the number of Khmer clusters of each text; null where the text is null."""
    return _with_nulls(count_units(*batch_of_arrow(texts), ch.character_kinds())[:, CLUSTER], texts)


def count_words_batch(texts: Texts) -> pa.Int64Array:
    """Return the number of words outside Khmer of each text; null where the text is null."""
    return _with_nulls(count_units(*batch_of_arrow(texts), ch.character_kinds())[:, WORD], texts)


def script_runs(text: str) -> list[ScriptRun]:
    """Return the stretches of one script, in order; what is of no script joins the run before it.

    >>> [text[run.start : run.end] for text in ["ខ្មែរ and English"] for run in script_runs(text)]
    ['ខ្មែរ ', 'and English']
    """
    batch = batch_of_text(text)
    starts, scripts = _script_runs(batch.data, ch.character_kinds())
    ends = [*starts[1:].tolist(), len(text)][: len(starts)]
    rows = zip(starts.tolist(), ends, scripts.tolist(), strict=True)
    return [ScriptRun(start, end, _SCRIPTS[script]) for start, end, script in rows]


_SCRIPTS: tuple[Script, ...] = ("none", "khmer", "latin", "other")


def _units_of_kind(text: str, kind: int) -> npt.NDArray[np.int64]:
    data = batch_of_text(text).data
    starts, ends, kinds = unit_spans(data, 0, len(data), ch.character_kinds())
    spans = np.stack([starts, ends], axis=1)[kinds == kind]
    # Byte offsets -> code points: count the bytes that start one.
    num_before = np.concatenate([[0], np.cumsum((data & 0xC0) != 0x80)])
    return num_before[spans]


def _with_nulls(counts: npt.NDArray[np.int64], texts: Texts) -> pa.Int64Array:
    mask = np.asarray(texts.is_null().to_numpy(zero_copy_only=False)) if texts.null_count else None
    return pa.array(np.ascontiguousarray(counts), mask=mask)


# --- compiled ---------------------------------------------------------------------------------


@inner
def kind_of(code_point, kinds):
    """Return the kind (`characters`) of a code point."""
    return kinds[code_point] if code_point < len(kinds) else np.uint8(ch.SEPARATOR)


@inner
def next_unit(data, at, end, kinds):
    """Return start byte, end byte and kind of the first unit at or after byte `at`.

    `data` is valid UTF-8, `kinds` is `characters.character_kinds()`.

    Returns:
        (start, stop, CLUSTER | WORD), or (end, end, NO_UNIT).
    """
    while at < end:
        if data[at] < 0x80 and kinds[data[at]] == ch.SEPARATOR:
            at += 1
            continue
        code_point, length = decode(data, at)
        kind = kind_of(code_point, kinds)
        if kind in (ch.KHMER_BASE, ch.KHMER_MARK):
            return at, _end_of_cluster(data, at + length, end, code_point, kinds), CLUSTER
        if kind == ch.IDEOGRAPH:
            return at, _end_of_marks(data, at + length, end, kinds), WORD
        if kind != ch.SEPARATOR:
            return at, _end_of_word(data, at + length, end, kinds), WORD
        at += length
    return end, end, NO_UNIT


@kernel
def unit_spans(data, start, end, kinds):
    """Return start bytes, end bytes and kinds of all units of `data[start:end]`."""
    capacity = end - start
    starts = np.empty(capacity, dtype=np.int64)
    ends = np.empty(capacity, dtype=np.int64)
    found = np.empty(capacity, dtype=np.uint8)
    num_units = 0
    start, stop, kind = next_unit(data, start, end, kinds)
    while kind != NO_UNIT:
        starts[num_units], ends[num_units], found[num_units] = start, stop, kind
        num_units += 1
        start, stop, kind = next_unit(data, stop, end, kinds)
    return starts[:num_units], ends[:num_units], found[:num_units]


@inner
def _end_of_cluster(data, at, end, previous, kinds):
    """Return where a cluster ends: after its marks, and after a base that a coeng holds."""
    while at < end:
        code_point, length = decode(data, at)
        kind = kind_of(code_point, kinds)
        joiner = code_point in (cp.ZWNJ, cp.ZWJ)
        held = kind == ch.KHMER_BASE and previous == cp.COENG
        if not (kind == ch.KHMER_MARK or joiner or held):
            return at
        previous = code_point
        at += length
    return at


@inner
def _end_of_marks(data, at, end, kinds):
    while at < end:
        code_point, length = decode(data, at)
        if kind_of(code_point, kinds) != ch.MARK:
            return at
        at += length
    return at


@inner
def _end_of_word(data, at, end, kinds):
    """Return where a word ends; an apostrophe between two letters is inside it."""
    while at < end:
        # Most words are ASCII: no need to decode.
        if data[at] < 0x80 and data[at] != _APOSTROPHE:
            if kinds[data[at]] == ch.SEPARATOR:
                return at
            at += 1
            continue
        code_point, length = decode(data, at)
        kind = kind_of(code_point, kinds)
        if code_point in (_APOSTROPHE, _RIGHT_QUOTE) and at + length < end:
            after, _ = decode(data, at + length)
            kind = kind_of(after, kinds)
            if kind not in (ch.LATIN, ch.LETTER):
                return at
        if kind in (ch.SEPARATOR, ch.IDEOGRAPH, ch.KHMER_BASE, ch.KHMER_MARK):
            return at
        at += length
    return at


@kernel
def count_units(data, offsets, kinds):
    """Count the units of each text; int64, shape (num_texts, 3), columns by kind."""
    num_texts = len(offsets) - 1
    counts = np.zeros((num_texts, 3), dtype=np.int64)
    for text in range(num_texts):
        end = offsets[text + 1]
        _, stop, kind = next_unit(data, offsets[text], end, kinds)
        while kind != NO_UNIT:
            counts[text, kind] += 1
            _, stop, kind = next_unit(data, stop, end, kinds)
    return counts


@kernel
def _script_runs(data, kinds):
    """Return the first code point and the script (index of `_SCRIPTS`) of each run."""
    starts = np.empty(len(data) + 1, dtype=np.int64)
    scripts = np.empty(len(data) + 1, dtype=np.uint8)
    num_runs, at, position = 0, 0, 0
    while at < len(data):
        code_point, length = decode(data, at)
        kind = kind_of(code_point, kinds)
        script = 0
        if kind in (ch.KHMER_BASE, ch.KHMER_MARK):
            script = 1
        elif kind == ch.LATIN:
            script = 2
        elif kind in (ch.LETTER, ch.IDEOGRAPH):
            script = 3
        if num_runs == 0:
            starts[0], scripts[0], num_runs = 0, script, 1
        elif script and scripts[num_runs - 1] == 0:
            scripts[num_runs - 1] = script
        elif script and script != scripts[num_runs - 1]:
            starts[num_runs], scripts[num_runs] = position, script
            num_runs += 1
        at += length
        position += 1
    return starts[:num_runs], scripts[:num_runs]
