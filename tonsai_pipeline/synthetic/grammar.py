"""A random generator, a language, a topic -> one generated document, from the word lists in khm.yaml and eng.yaml.

    "{subject}បាន{action}{object}" ──fill──▶ slots are alternatives (templates again), scene values or words

What makes two documents differ is the combination of words; what makes one hang together is its scene: a place, a
year, three people by name and a few things that it keeps coming back to, drawn once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import accumulate
from random import Random
from typing import Any, Literal, cast

import yaml

Lang = Literal["khm", "eng"]
Genre = Literal["news", "wiki", "web", "book"]

_SLOT = re.compile(r"\{([^}]+)\}")
#: Numbers from here on have their thousands parted, as print does; a year has not.
_PARTED_FROM = 10_000
_LINK_FRAC, _RISE_FRAC = 0.25, 0.6


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity that rises and falls: a noun, its unit, and the range its values are drawn from (inclusive)."""

    noun: str
    unit: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Topic:
    """The words a document about one field of life keeps coming back to.

    Args:
        key: The same in both languages, so that documents of one topic can be paired.
        name: What the topic is called in its language.
        words: By kind: people, things, actions, places, qualities, causes, aims.
    """

    key: str
    name: str
    words: Mapping[str, tuple[str, ...]]
    measures: tuple[Measure, ...]


class _Choices:
    """Alternatives and how often each is taken."""

    def __init__(self, given: Sequence[str] | Mapping[str, int]) -> None:
        weights = given if isinstance(given, Mapping) else dict.fromkeys(given, 1)
        self._options = tuple(weights)
        self._sums = tuple(accumulate(weights.values()))

    def draw(self, rng: Random) -> str:
        return rng.choices(self._options, cum_weights=self._sums)[0]


class Language:
    """One language's word lists and templates.

    Attributes:
        words: Words that every topic shares, by kind.
        junk: Words of menus, footers and programs, by kind.
        topics: Topics by key.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.words = {kind: _words(row) for kind, row in raw["words"].items()}
        self.junk = {kind: _words(row) for kind, row in raw["junk"].items()}
        self.topics = {key: _topic(key, fields) for key, fields in raw["topics"].items()}
        self.scene = cast("Mapping[str, tuple[str, int]]", raw["scene"])
        self.slots = {name: _Choices(given) for name, given in raw["slots"].items()}
        self.patterns = _Choices(raw["patterns"])
        self.titles = _Choices(raw["titles"])
        self.leads = cast("Mapping[str, str]", raw["leads"])
        self.sentences: tuple[int, int] = tuple(raw["sentences"])
        self.end: str = raw["end"]
        self.news_end: str = raw.get("news_end", self.end)
        self.link: str = raw["link"]
        self._digits = str.maketrans("0123456789", raw.get("digits", "0123456789"))
        self._thousands: str = raw["thousands"]

    def number(self, value: int) -> str:
        """Write a number in the language's digits.

        Example:
            >>> (
            ...     language("khm").number(45_000),
            ...     language("eng").number(45_000),
            ...     language("eng").number(2026),
            ... )
            ('៤៥.០០០', '45,000', '2026')
        """
        written = (
            f"{value:,}".replace(",", self._thousands) if value >= _PARTED_FROM else f"{value}"
        )
        return written.translate(self._digits)


@cache
def language(lang: Lang) -> Language:
    """Return the word lists and templates of a language."""
    source = resources.files("tonsai_pipeline.synthetic") / f"{lang}.yaml"
    return Language(yaml.safe_load(source.read_text(encoding="utf-8")))


def document(
    rng: Random,
    lang: Lang,
    topic: str | None = None,
    num_paragraphs: int | None = None,
    genre: Genre = "web",
) -> str:
    """Write a document: paragraphs joined by a newline. Khmer is in UTN #61 order.

    Args:
        rng: All choices come from here: the same state gives the same document.
        lang: Its language.
        topic: A key of `TOPICS`; drawn when not given.
        num_paragraphs: 3 to 6 when not given; a paragraph is about 300 characters.
        genre: Decides the opening sentence, and the last mark of Khmer news.

    Raises:
        ValueError: The topic is unknown.
    """
    scene = _Scene(rng, language(lang), topic)
    paragraphs = [
        scene.paragraph(genre if number == 0 else None)
        for number in range(num_paragraphs or rng.randrange(3, 7))
    ]
    words = language(lang)
    if genre == "news":
        paragraphs[-1] = paragraphs[-1].removesuffix(words.end) + words.news_end
    return "\n".join(paragraphs)


def headline(rng: Random, lang: Lang, topic: str | None = None) -> str:
    """Write a headline, without a final mark.

    Raises:
        ValueError: The topic is unknown.
    """
    scene = _Scene(rng, language(lang), topic)
    return _capital(scene.fill(language(lang).titles.draw(rng)))


class _Scene:
    """What stays the same through one document, and the templates filled from it."""

    def __init__(self, rng: Random, words: Language, topic: str | None) -> None:
        if topic is not None and topic not in words.topics:
            raise ValueError(f"no topic {topic!r}; there are {', '.join(words.topics)}")
        self._rng = rng
        self._language = words
        self._topic = words.topics[topic or rng.choice(tuple(words.topics))]
        self._rows = {**words.words, **self._topic.words, "topic": (self._topic.name,)}
        for name, (template, num) in words.scene.items():
            kind = template.strip("{}")
            self._rows[name] = (
                tuple(rng.sample(self._rows[kind], num))
                if kind in self._rows
                else tuple(self.fill(template) for _ in range(num))
            )

    def paragraph(self, genre: Genre | None) -> str:
        """Write a paragraph; one with a genre opens with its lead."""
        rng, words = self._rng, self._language
        sentences = [] if genre is None else [self.fill(words.leads[genre])]
        low, high = words.sentences
        for _ in range(rng.randint(low, high)):
            link = words.link if sentences and rng.random() < _LINK_FRAC else ""
            sentences.append(self.fill(link + words.patterns.draw(rng)).rstrip())
        # A question carries its own mark.
        return " ".join(
            _capital(s) if s.endswith(("?", words.end)) else _capital(s) + words.end
            for s in sentences
        )

    def fill(self, template: str) -> str:
        """Replace every slot of a template."""
        bound = self._numbers(template)
        pieces = _pieces(template)
        return "".join(
            self._slot(piece, bound) if index % 2 else piece for index, piece in enumerate(pieces)
        )

    def _slot(self, name: str, bound: Mapping[str, tuple[str, ...]]) -> str:
        if name.isupper():
            return self._slot(name.lower(), bound).upper()
        if name in self._language.slots:
            return self.fill(self._language.slots[name].draw(self._rng))
        kind, _, form = name.partition(".")
        row = bound.get(name) or self._rows.get(kind)
        if row is not None:
            word = self._rng.choice(row)
            return word.split()[int(form)] if form else word
        low, high, *step = map(int, name.split(".."))
        return self._language.number(self._rng.randrange(low, high + 1, *step))

    def _numbers(self, template: str) -> dict[str, tuple[str, ...]]:
        """Draw the slots that must agree: what rises ends higher, and a part is less than its whole."""
        rng, number = self._rng, self._language.number
        if "{measure}" in template:
            measure = rng.choice(self._topic.measures)
            low, high = sorted(rng.sample(range(measure.low, measure.high + 1), 2))
            rises = rng.random() < _RISE_FRAC
            before, after = (low, high) if rises else (high, low)
            return {
                "measure": (measure.noun,),
                "unit": (measure.unit,),
                "moved": self._rows["rose" if rises else "fell"],
                "before": (number(before),),
                "after": (number(after),),
            }
        if "{whole}" in template:
            whole = rng.randrange(10, 400)
            return {"whole": (number(whole),), "part": (number(rng.randrange(2, whole)),)}
        return {}


@cache
def _pieces(template: str) -> tuple[str, ...]:
    """Cut a template at its slots: text and slot names in turn."""
    return tuple(_SLOT.split(template))


def _capital(text: str) -> str:
    """Begin with a capital, where the script has one."""
    return text[:1].upper() + text[1:]


def _words(row: str) -> tuple[str, ...]:
    return tuple(row.split(", "))


def _topic(key: str, fields: Mapping[str, Any]) -> Topic:
    words = {kind: _words(row) for kind, row in fields.items() if kind not in ("name", "measures")}
    return Topic(key, fields["name"], words, tuple(Measure(*row) for row in fields["measures"]))


TOPICS: tuple[str, ...] = tuple(language("khm").topics)
"""Keys of the topics, the same in both languages."""
