"""Documents and models -> bits per byte by language, source and length, with intervals, and paired differences.

    TextSet ──one BOS, windows──▶ nats of each document ──/ (ln 2 x bytes)──▶ rows of a table

Measured on text, not on packed rows: another model has another tokenizer, and the bytes are what they share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonsai_pipeline.evaluate.subject import Subject
from tonsai_pipeline.evaluate.texts import TextSet
from tonsai_pipeline.metrics.bootstrap import Estimate, ratio, ratio_difference
from tonsai_pipeline.model.likelihood import text_requests

#: Upper ends of the lengths that are told apart, in bytes: a sentence, a paragraph, a page, more.
_LENGTHS = {"up to 512 B": 512, "up to 2 kB": 2048, "up to 8 kB": 8192, "longer": 1 << 62}


@dataclass(frozen=True)
class TextScores:
    """How likely a model finds the documents of a set; one entry a document.

    Args:
        name: Of the set.
        languages: Of each document.
        bits: What the model needs for it.
        num_bytes: Its UTF-8 bytes.
        num_tokens: Its tokens in the model's own tokenizer.
    """

    name: str
    languages: tuple[str, ...]
    bits: tuple[float, ...]
    num_bytes: tuple[int, ...]
    num_tokens: tuple[int, ...]


@dataclass(frozen=True)
class BitsPerByte:
    """A row of the table.

    Args:
        texts: Name of the set.
        language: Of the documents.
        by: "all", "source" or "length".
        group: Which source or length; empty for all.
        bits_per_byte: With its interval over documents.
        perplexity: Per token of the model's own tokenizer, not to be compared between tokenizers; None beyond 2^1000.
        bytes_per_token: Of its tokenizer on this text.
        num_bytes: UTF-8 bytes measured.
    """

    texts: str
    language: str
    by: str
    group: str
    bits_per_byte: Estimate
    perplexity: float | None
    bytes_per_token: float
    num_bytes: int


def score_texts(subject: Subject, texts: TextSet) -> TextScores:
    """Measure each document of a set."""
    requests, owners = [], []
    for place, document in enumerate(texts.documents):
        found = text_requests(document.text, subject.tokenizer, subject.context)
        requests += found
        owners += [place] * len(found)
    num_documents = len(texts.documents)
    nats = np.bincount(owners, subject.nats(requests), minlength=num_documents)
    tokens = np.bincount(owners, [one.num_scored for one in requests], minlength=num_documents)
    return TextScores(
        name=texts.name,
        languages=tuple(document.language for document in texts.documents),
        bits=tuple((nats / math.log(2)).tolist()),
        num_bytes=tuple(len(document.text.encode()) for document in texts.documents),
        num_tokens=tuple(tokens.astype(np.int64).tolist()),
    )


def rows_of(texts: TextSet, scores: TextScores) -> list[BitsPerByte]:
    """Make the rows of a set: each language whole, then by source and by length where there are several."""
    found = []
    for language in sorted({document.language for document in texts.documents}):
        own = [i for i, d in enumerate(texts.documents) if d.language == language]
        found.append(_row(texts.name, language, "all", "", scores, own))
        for by, groups in (
            ("source", _by_source(texts, own)),
            ("length", _by_length(scores, own)),
        ):
            if len(groups) > 1:
                found += [
                    _row(texts.name, language, by, group, scores, rows)
                    for group, rows in groups.items()
                ]
    return found


def difference(first: TextScores, second: TextScores, language: str) -> Estimate:
    """Return the bits per byte of the first model minus those of the second, paired by document.

    Raises:
        ValueError: The two were measured on other documents.
    """
    if first.num_bytes != second.num_bytes or first.languages != second.languages:
        raise ValueError(f"{first.name}: the two models were measured on other documents")
    own = np.flatnonzero(np.array(first.languages) == language)
    return ratio_difference(
        np.array(first.bits)[own], np.array(second.bits)[own], np.array(first.num_bytes)[own]
    )


def _row(
    texts: str, language: str, by: str, group: str, scores: TextScores, rows: Sequence[int]
) -> BitsPerByte:
    own = np.asarray(rows)
    bits, sizes, tokens = (
        np.array(values)[own] for values in (scores.bits, scores.num_bytes, scores.num_tokens)
    )
    per_token = float(bits.sum() / tokens.sum())
    return BitsPerByte(
        texts=texts,
        language=language,
        by=by,
        group=group,
        bits_per_byte=ratio(bits, sizes),
        perplexity=2.0**per_token if per_token < 1000 else None,
        bytes_per_token=float(sizes.sum() / tokens.sum()),
        num_bytes=int(sizes.sum()),
    )


def _by_source(texts: TextSet, own: Sequence[int]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for i in own:
        groups.setdefault(texts.documents[i].source, []).append(i)
    return dict(sorted(groups.items()))


def _by_length(scores: TextScores, own: Sequence[int]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {name: [] for name in _LENGTHS}
    for i in own:
        name = next(name for name, most in _LENGTHS.items() if scores.num_bytes[i] <= most)
        groups[name].append(i)
    return {name: rows for name, rows in groups.items() if rows}
