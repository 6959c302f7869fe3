"""the vocabulary -> which word may stand in for which, so that an edited sentence stays a sentence."""

from __future__ import annotations

from functools import cache

import regex

from tonsai_pipeline.sample import english_words, khmer_words
from tonsai_pipeline.sample.english_topics import ENGLISH_TOPICS
from tonsai_pipeline.sample.khmer_topics import KHMER_TOPICS
from tonsai_pipeline.sample.topic import Topic

_TOPIC_FIELDS = ("people", "things", "places", "qualities", "causes", "aims")


@cache
def stand_ins() -> dict[str, tuple[str, ...]]:
    """Return every word of both languages with the words of its own kind, itself left out."""
    groups: list[tuple[str, ...]] = []
    for topic in (*KHMER_TOPICS, *ENGLISH_TOPICS):
        groups.extend(tuple(getattr(topic, field)) for field in _TOPIC_FIELDS)
        groups.extend(_action_groups(topic))
    for module in (khmer_words, english_words):
        groups.extend(
            tuple(value)
            for name, value in vars(module).items()
            if name.isupper() and not isinstance(value, dict)
        )
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


def _action_groups(topic: Topic) -> list[tuple[str, ...]]:
    """Return the actions by form: Khmer has one, English three."""
    forms = [action.split() for action in topic.actions]
    return [tuple(form[number] for form in forms) for number in range(len(forms[0]))]


@cache
def _pattern() -> regex.Pattern[str]:
    # A Khmer word has no blank beside it, but must not end inside a cluster: no mark may follow.
    words = sorted(stand_ins(), key=len, reverse=True)
    return regex.compile(
        r"(?<!\w)\L<latin>(?!\w)|(?<!\u17D2)\L<khmer>(?![\u17B4-\u17D3\u17DD])",
        latin=[word for word in words if word.isascii()],
        khmer=[word for word in words if not word.isascii()],
    )
