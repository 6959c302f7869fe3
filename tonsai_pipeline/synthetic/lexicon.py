"""the vocabulary -> which word may stand in for which, so that an edited sentence stays a sentence."""

from __future__ import annotations

from functools import cache

import regex

from tonsai_pipeline.synthetic.grammar import language


@cache
def stand_ins() -> dict[str, tuple[str, ...]]:
    """Return every word of both languages with the words of its own kind, itself left out."""
    groups: list[tuple[str, ...]] = []
    for words in (language("khm"), language("eng")):
        groups += words.words.values()
        for topic in words.topics.values():
            # An English action is three forms in a row, each with stand-ins of its own form.
            groups += zip(*(action.split() for action in topic.words["actions"]), strict=True)
            groups += (row for kind, row in topic.words.items() if kind != "actions")
    found: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for word in group:
            others = tuple(dict.fromkeys(other for other in group if other != word))
            if others:
                found.setdefault(word, others)
    return found


def word_spans(text: str) -> list[tuple[int, int, str]]:
    """Find the words that have a stand-in, longest first at each place: (start, end, word).

    >>> word_spans("the farmers harvested rice")
    [(4, 11, 'farmers'), (12, 21, 'harvested'), (22, 26, 'rice')]
    """
    return [(match.start(), match.end(), match.group()) for match in _pattern().finditer(text)]


@cache
def _pattern() -> regex.Pattern[str]:
    # A Khmer word has no blank beside it, but must not end inside a cluster: no mark may follow.
    words = sorted(stand_ins(), key=len, reverse=True)
    return regex.compile(
        r"(?<!\w)\L<latin>(?!\w)|(?<!\u17D2)\L<khmer>(?![\u17B4-\u17D3\u17DD])",
        latin=[word for word in words if word.isascii()],
        khmer=[word for word in words if not word.isascii()],
    )
