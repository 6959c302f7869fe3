"""Summaries and references -> ROUGE-1 and ROUGE-L over orthographic clusters.

The usual package cuts text at everything that is no ASCII letter or digit: two equal Khmer texts score 0 there.

Source: Lin 2004. Clusters in place of words are ours; two unrelated Khmer sentences share about a third of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tonsai_pipeline.metrics.answers import answer_units


def rouge_1(text: str, references: Sequence[str]) -> float:
    """Return the F1 of shared units, the best over the references, 0..1.

    Example:
        >>> rouge_1("ទឹកភ្លៀង", ["ភ្លៀងទឹក"])
        1.0
    """

    def shared(own: tuple[str, ...], other: tuple[str, ...]) -> int:
        return sum((Counter(own) & Counter(other)).values())

    return _best(text, references, shared)


def rouge_l(text: str, references: Sequence[str]) -> float:
    """Return the F1 of the longest common subsequence of units, the best over the references, 0..1.

    Example:
        >>> rouge_l("ទឹកភ្លៀង", ["ភ្លៀងទឹក"])
        0.5
    """
    return _best(text, references, _longest_common)


def _best(text: str, references: Sequence[str], shared) -> float:  # noqa: ANN001  # (units, units) -> int
    own = answer_units(text)
    others = [answer_units(reference) for reference in references]
    return max(
        (2 * shared(own, other) / max(1, len(own) + len(other)) for other in others), default=0.0
    )


def _longest_common(own: tuple[str, ...], other: tuple[str, ...]) -> int:
    row = [0] * (len(other) + 1)
    for unit in own:
        before = 0
        for at, wanted in enumerate(other, 1):
            before, row[at] = (
                row[at],
                before + 1 if unit == wanted else max(row[at], row[at - 1]),
            )
    return row[-1]
