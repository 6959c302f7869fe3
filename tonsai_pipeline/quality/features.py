"""Texts -> what the classifier reads: units between spaces, with marks for what stands between them.

fastText splits on spaces, so a Khmer sentence as written would be one word. Here each cluster is a word, ASCII
is in lower case, every number is `0`, and the page leaves its traces: `.` a sentence end, `,` other
punctuation, `#` a symbol, `|` a line that ends without a sentence end.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa  # noqa: F401 (for the docstring)

from tonsai_pipeline.compiled import inner, kernel
from tonsai_pipeline.quality import characters as ch
from tonsai_pipeline.quality.characters import page_classes
from tonsai_pipeline.quality.page import class_of
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.text.characters import character_kinds
from tonsai_pipeline.text.clusters import NO_UNIT, WORD, next_unit
from tonsai_pipeline.text.utf8 import Texts, batch_of_arrow, decode

#: Bumped when the same text would give other features: a model knows only the features it was trained on.
FEATURES_VERSION = 1


def features(texts: Texts, *, max_units: int) -> list[str]:
    r"""Prepare texts for the classifier.

    Args:
        texts: Arrow strings, normalized.
        max_units: Units read of each text, from its start; bounds the cost of long documents.

    Returns:
        One line a text, without line ends.

    Example:
        >>> features(pa.array(["Hello, World!\nPage 12"]), max_units=100)
        ['hello , world . page 0 |']
    """
    batch = batch_of_arrow(texts)
    # A unit of one byte becomes two, and so does a mark; a unit cannot grow by more.
    longest = int(np.diff(batch.offsets).max(initial=0))
    out = np.empty(2 * longest + 4, dtype=np.uint8)
    classes, kinds = page_classes(), character_kinds()
    lines = []
    for start, end in zip(batch.offsets[:-1], batch.offsets[1:], strict=True):
        size = _write_features(batch.data, start, end, classes, kinds, max_units, out)
        lines.append(out[:size].tobytes().decode("utf-8"))
    return lines


@kernel
def _write_features(data, start, end, classes, kinds, max_units, out):
    to = 0
    after = start
    ended = False
    kind = NO_UNIT
    for _ in range(max_units):
        at, stop, kind = next_unit(data, after, end, kinds)
        to, ended = _write_marks(data, after, at, classes, out, to, ended)
        if kind == NO_UNIT:
            break
        to = _write_unit(data, at, stop, kind, out, to)
        ended = False
        after = stop
    if after >= end or kind == NO_UNIT:
        to = to if ended else _write_mark(out, to, np.uint8(0x7C))
    return max(0, to - 1)  # without the last space


@inner
def _write_unit(data, at, stop, kind, out, to):
    if kind == WORD and 0x30 <= data[at] <= 0x39:
        return _write_mark(out, to, np.uint8(0x30))
    if kind == WORD and data[at] == 0xE1:
        code, _ = decode(data, at)
        if cp.DIGIT_ZERO <= code <= cp.DIGIT_NINE:
            return _write_mark(out, to, np.uint8(0x30))
    for i in range(at, stop):
        byte = data[i]
        if 0x41 <= byte <= 0x5A:
            byte |= 0x20
        out[to] = byte
        to += 1
    out[to] = 0x20
    return to + 1


@inner
def _write_marks(data, at, stop, classes, out, to, ended):
    """Write one mark for each kind of thing between two units, in order; a repeated one only once."""
    last = np.uint8(0x2E) if ended else np.uint8(0)
    while at < stop:
        code, length = decode(data, at)
        kind = class_of(classes, code)
        at += length
        mark = np.uint8(0)
        if kind == ch.ENDER:
            mark = np.uint8(0x2E)
            ended = True
        elif kind == ch.NEWLINE:
            if not ended and to > 0:
                mark = np.uint8(0x7C)
            ended = True  # an empty line is no further line without an end
        elif kind == ch.SYMBOL:
            mark = np.uint8(0x23)
        elif kind == ch.PUNCTUATION or kind == ch.BULLET or kind == ch.CLOSER:
            mark = np.uint8(0x2C)
        if mark != 0 and mark != last:
            to = _write_mark(out, to, mark)
            last = mark
    return to, ended


@inner
def _write_mark(out, to, mark):
    out[to] = mark
    out[to + 1] = 0x20
    return to + 2
