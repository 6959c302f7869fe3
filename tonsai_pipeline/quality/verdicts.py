"""Texts as they came -> for each: its language, score, every reason against it, and where in the text they are.

What `normalize` and `score` do to a document, on a batch in memory: for a look at text before any dump is made of it.
Limits are values; no classifier is asked, and nothing is known of duplicates.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tonsai_pipeline.quality.form import form_score
from tonsai_pipeline.quality.rules import DropReason, Limits, all_reasons
from tonsai_pipeline.quality.signals import measure
from tonsai_pipeline.text import (
    NormalizeOptions,
    cut_damage_batch,
    languages_batch,
    normalize_batch_report,
)


class Verdict(NamedTuple):
    """What is said about one text.

    Args:
        text: Normalized, damaged lines cut out.
        language: khm, eng, mixed or other.
        score: By the form alone, 0..1.
        reasons: Why it would be dropped, the one that counts first; empty for a text that stays.
        num_cut_lines: Damaged lines that were cut.
    """

    text: str
    language: str
    score: float
    reasons: tuple[str, ...]
    num_cut_lines: int


def judge_texts(
    texts: pa.Array,
    limits: Mapping[str, Limits],
    *,
    options: NormalizeOptions,
    language: str | None = None,
) -> list[Verdict]:
    """Judge texts as the pipeline would, but for duplicates and classifiers.

    Args:
        texts: Arrow strings, valid UTF-8, none null.
        limits: By language, `khm` and `eng`.
        options: How they are normalized.
        language: What they should be in; another language is a reason then, a mixture is none.
    """
    normal, seen = normalize_batch_report(texts, options)
    left = cut_damage_batch(normal)
    bad = sum(seen.field(name).to_numpy() for name in ("num_orphan_marks", "num_invalid_clusters"))
    bad = bad / np.maximum(seen.field("num_clusters").to_numpy(), 1)
    signals = measure(left.texts)
    scores = form_score(signals)
    languages = languages_batch(left.texts).to_pylist()
    by_language = {
        code: all_reasons(signals, of, bad_clusters_frac=bad) for code, of in limits.items()
    }
    cut = np.sum(list(left.cut_lines.values()), axis=0)
    verdicts = []
    for row, (text, spoken, damage) in enumerate(
        zip(left.texts.to_pylist(), languages, left.reasons.to_pylist(), strict=True)
    ):
        reasons = list(by_language["khm" if spoken in ("khm", "mixed") else "eng"][row])
        if language is not None and spoken not in (language, "mixed"):
            reasons.append(DropReason.wrong_language)
        if damage is not None:
            reasons.insert(0, damage)
        if not text.strip():
            reasons = ["empty"]
        verdicts.append(
            Verdict(text, spoken, float(scores[row]), tuple(map(str, reasons)), int(cut[row]))
        )
    return verdicts


_PLACES = {
    DropReason.too_many_placeholders: r"%[0-9A-Za-z$]+|\$[A-Za-z({]\w*|\{[^}\s]*\}?|</?[A-Za-z][^>\n]*>?|\s[~&][A-Za-z]\w*",
    DropReason.too_many_links: r"\S*://\S+|www\.\S+",
    DropReason.too_many_digits: r"[0-9\u17e0-\u17e9]+",
    DropReason.too_many_symbols: r"[#$%&+/<=>@\\^_`{|}~]+",
    DropReason.too_many_ellipses: r"(?:\.{3}|\u2026)\s*$",
    DropReason.too_many_bullets: r"^\s*[*\u2022\u2023\u25cf\u25cb\u25aa\u00b7\u2013\u2014-]",
    DropReason.too_many_short_lines: r"^[^\n]{1,29}$",
}
_LINE = re.compile(r"^[^\n]+$", re.MULTILINE)


def spans_of(text: str, reason: str) -> list[tuple[int, int]]:
    """Return where in a text a reason shows, in code points; empty for one that is about the whole.

    Example:
        >>> spans_of("see www.a.org", "too_many_links")
        [(4, 13)]
    """
    if reason in (DropReason.repeated_lines, DropReason.repeated_paragraphs):
        lines = [(m.group().strip(), m.span()) for m in _LINE.finditer(text)]
        counts = Counter(line for line, _ in lines)
        return [span for line, span in lines if line and counts[line] > 1]
    pattern = {str(key): pattern for key, pattern in _PLACES.items()}.get(reason)
    if pattern is None:
        return []
    return [m.span() for m in re.finditer(pattern, text, re.MULTILINE)]
