"""Text as it was typed -> the same text as Unicode asks it to be stored, and what had to change.

Three steps: `clean` (invisible characters, deprecated letters), Normalization Form C, then the
syllables that are out of order. What a reader sees stays what it was, with one choice that cannot
be undone: coeng DA, drawn like coeng TA, is stored as coeng TA unless `coeng_da="preserve"`.
The rules, one by one: `docs/khmer.md`.

Source: UTN #61 v2; UAX #15. Inference code may import this module alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.text import repair, scan
from tonsai_pipeline.text.characters import character_kinds
from tonsai_pipeline.text.clean import CLEANED, clean
from tonsai_pipeline.text.composition import combining_classes, compose_texts
from tonsai_pipeline.text.measure import count_zwsp, measure
from tonsai_pipeline.text.rewrite import rewrite
from tonsai_pipeline.text.utf8 import (
    Texts,
    Utf8Batch,
    arrow_of_batch,
    batch_of_arrow,
    batch_of_text,
    frozen,
)

#: Names the rules. A change of the output for any input needs a new one.
NORMALIZER_VERSION = "3"

#: The rules, in the order of the columns of the report.
RULE_NAMES: tuple[str, ...] = ("composed", *CLEANED, *repair.RULES[:-1], "left_as_typed")


@dataclass(frozen=True)
class NormalizeOptions:
    """What `normalize` may change. One set of options serves corpus, tokenizer and inference.

    Attributes:
        coeng_da: "fold" stores coeng DA as coeng TA, "preserve" keeps what was typed.
        strip_zwsp: strip U+200B, but between two letters of Thai and the like; between two words of
            Latin letters and the like it becomes a space.
        strip_joiners: strip U+200C and U+200D beside Khmer where they have no meaning.
        strip_ignorables: strip U+FEFF and U+00AD; U+200E, U+200F and U+2060 between two characters of Khmer.
        fold_spaces: U+00A0 is a space, U+2028 and U+2029 are line feeds.
        fold_deprecated: replace U+17A3, U+17A4, U+17D8; delete U+17B4, U+17B5.
        collapse_duplicate_marks: store a mark typed twice in a row once; else lengthened words stay as typed.
    """

    coeng_da: Literal["fold", "preserve"] = "fold"
    strip_zwsp: bool = True
    strip_joiners: bool = True
    strip_ignorables: bool = True
    fold_spaces: bool = True
    fold_deprecated: bool = True
    collapse_duplicate_marks: bool = True

    def __post_init__(self) -> None:
        if self.coeng_da not in ("fold", "preserve"):
            raise ValueError(f"coeng_da must be 'fold' or 'preserve', not {self.coeng_da!r}")
        for field in fields(self)[1:]:
            if not isinstance(getattr(self, field.name), bool):
                raise ValueError(f"{field.name} must be true or false")  # noqa: TRY004 - a setting

    @property
    def fingerprint(self) -> str:
        """Hash of the options and of `NORMALIZER_VERSION`, 16 hex digits."""
        return hashlib.sha256(json.dumps(self.to_dict()).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return the options and the version of the rules, for a JSON file."""
        return {"normalizer_version": NORMALIZER_VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> NormalizeOptions:
        """Return the options that `to_dict` wrote.

        Raises:
            ValueError: an unknown key or value, or rules of another version.
        """
        known = {field.name for field in fields(cls)} | {"normalizer_version"}
        if unknown := sorted(set(config) - known):
            raise ValueError(f"unknown normalizer options: {', '.join(unknown)}")
        version = config.get("normalizer_version", NORMALIZER_VERSION)
        if version != NORMALIZER_VERSION:
            raise ValueError(f"normalizer version {version!r}; this one is {NORMALIZER_VERSION!r}")
        return cls(**{key: value for key, value in config.items() if key != "normalizer_version"})


DEFAULT_OPTIONS = NormalizeOptions()


def normalize(text: str, options: NormalizeOptions = DEFAULT_OPTIONS) -> str:
    r"""Return the text as Unicode asks it to be stored. Idempotent; the result is in NFC.

    Raises:
        ValueError: the text holds a lone surrogate; the position is named.

    Examples:
        The vowel sign E and the vowel sign II, typed apart, are one vowel:

        >>> normalize("\u1780\u17c1\u17b8") == "\u1780\u17be"
        True
    """
    if text.isascii():
        return text
    result = _normalize(batch_of_text(text), options)
    return result.batch.data.tobytes().decode("utf-8")


def normalize_batch(
    texts: Texts, options: NormalizeOptions = DEFAULT_OPTIONS
) -> pa.LargeStringArray:
    """Normalize every text of an Arrow string array; nulls stay null.

    Raises:
        ValueError: a text is not valid UTF-8; the row and the byte are named.
    """
    return arrow_of_batch(_normalize(batch_of_arrow(texts), options).batch, texts)


def normalize_batch_report(
    texts: Texts, options: NormalizeOptions = DEFAULT_OPTIONS
) -> tuple[pa.LargeStringArray, pa.StructArray]:
    """Normalize as `normalize_batch` does, and count what was done.

    Returns:
        The texts, and for each a struct of int32: one field a rule (`RULE_NAMES`, prefixed with
        `num_`; the rules of `clean` count characters, the others syllables, `num_composed` is 1
        where NFC changed the text), `num_zwsp` of the text as it came, then of the result
        `num_clusters`, `num_orphan_marks` (vowels and signs without a base) and
        `num_invalid_clusters`. A null text has zeros.

    Raises:
        ValueError: as `normalize_batch`.
    """
    batch = batch_of_arrow(texts)
    result = _normalize(batch, options)
    found = measure(*result.batch, _symbols(), _steps(False))
    columns = [*result.counts.T, count_zwsp(*batch), *found.T]
    names = [f"num_{rule}" for rule in RULE_NAMES]
    names += ["num_zwsp", "num_clusters", "num_orphan_marks", "num_invalid_clusters"]
    arrays = [pa.array(np.ascontiguousarray(column)) for column in columns]
    return arrow_of_batch(result.batch, texts), pa.StructArray.from_arrays(arrays, names)


def malformed_texts(texts: Texts) -> pa.Int64Array:
    """Return for each text the byte at which it stops being valid UTF-8, null where it is valid.

    `normalize_batch` refuses a batch with such a text; a caller that goes on without it asks first.
    """
    found = _scan(batch_of_arrow(texts), DEFAULT_OPTIONS)
    return pa.array(found.place, mask=(found.needs & scan.MALFORMED) == 0)


# --- how ------------------------------------------------------------------------------------------


class _Normalized(NamedTuple):
    batch: Utf8Batch
    counts: npt.NDArray[np.int32]


# A mark that NFC moves can leave a joiner outside its syllable, to be cleaned in a second round.
# More than two are for hostile text.
_MAX_ROUNDS = 8
_CLEANED = slice(1, 1 + len(CLEANED))
# The last rule of `repair`, joiners, is counted with those of `clean`.
_JOINER = RULE_NAMES.index("joiner")
_REPAIRED = slice(1 + len(CLEANED), len(RULE_NAMES) - 1)


def _normalize(batch: Utf8Batch, options: NormalizeOptions) -> _Normalized:
    """Clean, compose and repair; counts have the shape (num_texts, len(RULE_NAMES))."""
    counts = np.zeros((len(batch.offsets) - 1, len(RULE_NAMES)), dtype=np.int32)
    found = _scan(batch, options)
    if found.some_need(scan.MALFORMED):
        row = int(np.argmax(found.needs & scan.MALFORMED))
        raise ValueError(f"text {row} is not valid UTF-8 at byte {found.place[row]}")
    for round_index in range(_MAX_ROUNDS):
        if found.some_need(scan.UNCLEAN):
            batch, found, seen = _clean(batch, found, options)
            counts[:, _CLEANED] += seen
        elif round_index:
            break
        composed, changed = compose_texts(batch, np.flatnonzero(found.needs & scan.UNCOMPOSED))
        if not changed:
            break
        batch, found = composed, _scan(composed, options)
        counts[changed, 0] = 1
    if found.some_need(scan.UNCLEAN):  # what stays invisible, as a joiner that is meant
        found = _scan(batch, options, cleans=False)
    if len(found.spans):
        *repaired, seen = rewrite(
            *batch, frozen(found.spans), combining_classes(), _switches(options)
        )
        counts[:, _REPAIRED] = seen[:, :-2]
        counts[:, _JOINER] += seen[:, -2]
        counts[:, -1] = seen[:, -1]
        batch = Utf8Batch(*map(frozen, repaired))
    return _Normalized(_compact(batch), counts)


def _clean(
    batch: Utf8Batch, found: _Found, options: NormalizeOptions
) -> tuple[Utf8Batch, _Found, npt.NDArray[np.int32]]:
    tables = character_kinds(), *_tables(options)
    out = np.empty(int(batch.offsets[-1] - batch.offsets[0] + found.place.sum()), dtype=np.uint8)
    spans = np.empty((scan.room_for_spans(len(out)), 2), dtype=np.int64)
    needs, before = frozen(found.needs), frozen(found.spans)
    offsets, needs, num_spans, seen = clean(
        *batch, needs, before, tables, _switches(options), out, spans
    )
    batch = Utf8Batch(frozen(out[: offsets[-1]]), frozen(offsets))
    if (needs & scan.UNCLEAN).any():
        return batch, _scan(batch, options), seen
    return batch, _Found(needs, found.place, spans[:num_spans].copy()), seen


class _Found(NamedTuple):
    """What `scan` returned."""

    needs: npt.NDArray[np.uint8]
    place: npt.NDArray[np.int64]
    spans: npt.NDArray[np.int64]

    def some_need(self, bit: int) -> bool:
        return bool((self.needs & bit).any())


def _scan(batch: Utf8Batch, options: NormalizeOptions, *, cleans: bool = True) -> _Found:
    """Scan a batch; `cleans=False` finds nothing unclean, and so every syllable to repair."""
    num_bytes = int(batch.offsets[-1] - batch.offsets[0])
    spans = np.empty((scan.room_for_spans(num_bytes), 2), dtype=np.int64)
    switches = _switches(options) if cleans else _switches(options) & ~scan.CLEANS
    needs, place, num_spans = scan.scan(*batch, *_tables(options), switches, spans)
    return _Found(needs, place, spans[:num_spans].copy())


def _compact(batch: Utf8Batch) -> Utf8Batch:
    """Let the first text start at byte 0."""
    data, offsets = batch
    if offsets[0] == 0 and offsets[-1] == len(data):
        return batch
    return Utf8Batch(data[offsets[0] : offsets[-1]], frozen(offsets - offsets[0]))


def _folds(options: NormalizeOptions) -> bool:
    return options.coeng_da == "fold"


@cache
def _symbols() -> npt.NDArray[np.uint8]:
    return frozen(scan.packed_symbols())


@cache
def _steps(fold_coeng_da: bool) -> npt.NDArray[np.uint8]:
    return frozen(scan.packed_steps(fold_coeng_da=fold_coeng_da))


def _tables(
    options: NormalizeOptions,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    return _symbols(), _steps(_folds(options)), combining_classes()


@cache
def _switches(options: NormalizeOptions) -> int:
    return (
        repair.FOLD_COENG_DA * _folds(options)
        | repair.COLLAPSE_DUPLICATES * options.collapse_duplicate_marks
        | repair.STRIP_JOINERS * options.strip_joiners
        | scan.STRIP_ZWSP * options.strip_zwsp
        | scan.STRIP_IGNORABLES * options.strip_ignorables
        | scan.FOLD_SPACES * options.fold_spaces
        | scan.FOLD_DEPRECATED * options.fold_deprecated
    )
