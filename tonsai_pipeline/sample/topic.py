"""words of one field of life -> one `Topic` value that a grammar can build sentences from."""

from __future__ import annotations

from dataclasses import dataclass


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

    Words of one field combine freely: any action takes any thing, any quality describes any thing.

    Attributes:
        key: The same in both languages, so that documents of one topic can be paired.
        name: What the topic is called in its language.
        people: Who acts. English: plural nouns.
        things: What is acted on. English: plural or mass nouns.
        actions: Transitive verbs. English: ``base past gerund``, blank-separated.
        places: Where it happens. English: with article.
        qualities: What describes a thing. Khmer: follows the noun; English: precedes it.
        causes: Noun phrases or clauses that give a reason.
        aims: Verb phrases that give a purpose (English: base form).
        measures: Quantities with units.
    """

    key: str
    name: str
    people: tuple[str, ...]
    things: tuple[str, ...]
    actions: tuple[str, ...]
    places: tuple[str, ...]
    qualities: tuple[str, ...]
    causes: tuple[str, ...]
    aims: tuple[str, ...]
    measures: tuple[Measure, ...]
