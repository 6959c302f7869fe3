"""a dice and a topic -> the people, the place and the words that one English document keeps to.

The English twin of `khmer_scene`: the same slots, so a pattern reads alike in both languages. What makes two documents
differ is the combination of words; what makes one document hang together is its scene.
"""

from __future__ import annotations

from random import Random

from tonsai_pipeline.sample import english_words as words
from tonsai_pipeline.sample.topic import Topic

_SEASONS = (
    ("winter", words.WINTER_MONTHS),
    ("spring", words.SPRING_MONTHS),
    ("summer", words.SUMMER_MONTHS),
    ("autumn", words.AUTUMN_MONTHS),
)


class EnglishScene:
    """What stays the same through one document: the topic, the people, the place.

    Args:
        rng: All choices come from here.
        topic: The words to speak with.
    """

    def __init__(self, rng: Random, topic: Topic) -> None:
        self.rng = rng
        self.topic = topic
        self.town = rng.choice(words.TOWN_HEADS) + rng.choice(words.TOWN_TAILS)
        self.county = rng.choice(words.COUNTIES)
        self.cast = tuple(self._name() for _ in range(3))
        self.main_things = tuple(rng.sample(topic.things, 5))
        self.main_people = tuple(rng.sample(topic.people, 4))
        self.year = rng.randrange(1994, 2026)

    def title(self) -> str:
        """Draw a headline: who does what to what, and where."""
        tail = self.rng.choice(
            (f"in {self.county}", f"at {self.town}", self.manner(), f"to {self.aim()}")
        )
        line = f"{self.person()} {self.act('base')} {self.object()} {tail}"
        return line[0].upper() + line[1:]

    def lead(self, genre: str) -> str:
        """Draw the sentence a document of this genre opens with."""
        if genre == "news":
            return f"{self.town.upper()}, {self.date()}: {self.subject()} {self.act('past')} {self.object()} {self.where()}"
        if genre == "wiki":
            return (
                f"{self.topic.name} around {self.town} in {self.county} means {self.thing()}, {self.thing()} and "
                f"{self.thing()}, which {self.person()} have been {self.act('ing')} since {self.year}"
            )
        if genre == "book":
            return f"{self.named()} came to {self.town} {self.past()} and found {self.object()} {self.where()}"
        return f"{self.past()} {self.named()} met {self.person()} who were {self.act('ing')} {self.object()} {self.where()}"

    # words of the topic ------------------------------------------------------------------------------------------

    def thing(self) -> str:
        """A thing of the topic, three times in four one of this document's own five."""
        return self.rng.choice(self.main_things if self.rng.random() < 0.75 else self.topic.things)

    def person(self) -> str:
        """A kind of people of the topic, three times in four one of this document's own four."""
        return self.rng.choice(self.main_people if self.rng.random() < 0.75 else self.topic.people)

    def act(self, form: str) -> str:
        """A transitive verb of the topic, as ``base``, ``past`` or ``ing``."""
        return self.rng.choice(self.topic.actions).split()[("base", "past", "ing").index(form)]

    def cause(self) -> str:
        """A reason, as a noun phrase."""
        return self.rng.choice(self.topic.causes)

    def aim(self) -> str:
        """A purpose: one of the topic's own, or any action on any thing."""
        if self.rng.random() < 0.4:
            return self.rng.choice(self.topic.aims)
        return f"{self.act('base')} {self.object()}"

    def object(self) -> str:
        """A thing, often with a quality."""
        return (
            f"{self.rng.choice(self.topic.qualities)} " if self.rng.random() < 0.5 else ""
        ) + self.thing()

    # people, places, times ---------------------------------------------------------------------------------------

    def named(self) -> str:
        """One of this document's three people, with title."""
        return self.rng.choice(self.cast)

    def subject(self) -> str:
        """Who acts: a kind of people, some of them, a number of them, or a person by name."""
        roll = self.rng.random()
        if roll < 0.3:
            return f"the {self.person()}"
        if roll < 0.5:
            return self.named()
        if roll < 0.7:
            return f"{self.rng.choice(words.QUANTIFIERS)} {self.person()}"
        if roll < 0.85:
            return f"{self.rng.randrange(3, 90)} {self.person()}"
        return f"the {self.person()} from {self.town}"

    def where(self) -> str:
        """Where: a place of the topic, the town or the county."""
        place = self.rng.choice(self.topic.places)
        return self.rng.choice(
            (
                f"near {place}",
                f"at {place}",
                f"behind {place}",
                f"in {self.town}",
                f"across {self.county}",
            )
        )

    def date(self) -> str:
        """A day in full, of this document's year."""
        _, months = self.rng.choice(_SEASONS)
        return f"{self.rng.randrange(1, 29)} {self.rng.choice(months)} {self.year}"

    def past(self) -> str:
        """A time gone by."""
        roll = self.rng.random()
        if roll < 0.6:
            return self.rng.choice(words.PAST_TIMES)
        if roll < 0.8:
            return f"on {self.date()}"
        season, months = self.rng.choice(_SEASONS)
        return f"one {season} {self.rng.choice(words.WEEKDAYS)} in {self.rng.choice(months)}"

    def manner(self) -> str:
        """How it is done."""
        return self.rng.choice(words.MANNERS)

    def money(self) -> str:
        """A sum in riel or dollars."""
        if self.rng.random() < 0.5:
            return f"{self.rng.randrange(5, 900) * 1000:,} riel"
        return f"{self.rng.randrange(20, 5000):,} dollars"

    def _name(self) -> str:
        female = self.rng.random() < 0.5
        title = self.rng.choice(words.TITLES_FEMALE if female else words.TITLES_MALE)
        given = self.rng.choice(words.FEMALE_NAMES if female else words.MALE_NAMES)
        return f"{title} {given} {self.rng.choice(words.FAMILY_NAMES)}"
