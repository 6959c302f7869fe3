"""a dice and a topic -> the people, the place and the words that one Khmer document keeps to.

What makes two documents differ is the combination of words; what makes one document hang together is its scene. Slots
agree with their words where a reader would notice: months belong to their season, titles to the gender of the name.
"""

from __future__ import annotations

from random import Random

from tonsai_pipeline.sample import khmer_words as words
from tonsai_pipeline.sample.topic import Topic


class KhmerScene:
    """What stays the same through one document: the topic, the people, the place.

    Args:
        rng: All choices come from here.
        topic: The words to speak with.
    """

    def __init__(self, rng: Random, topic: Topic) -> None:
        self.rng = rng
        self.topic = topic
        self.village = f"{rng.choice(words.VILLAGE_HEADS)}{rng.choice(words.VILLAGE_TAILS)}"
        self.province = rng.choice(words.PROVINCES)
        self.cast = tuple(self._name() for _ in range(3))
        self.main_things = tuple(rng.sample(topic.things, 5))
        self.main_people = tuple(rng.sample(topic.people, 4))
        self.year = rng.randrange(1994, 2026)

    def title(self) -> str:
        """Draw a headline: what is done to what, and where."""
        tail = self.rng.choice(
            (f"នៅខេត្ត{self.province}", f"ក្នុងភូមិ{self.village}", self.manner(), self.quality())
        )
        return f"{self.person()}{self.action()}{self.thing()} {tail}"

    def lead(self, genre: str) -> str:
        """Draw the sentence a document of this genre opens with."""
        if genre == "news":
            return f"{self.province}៖ {self.person()}បាន{self.action()}{self.thing()}{self.quality()} {self.date()} {self.where()}"
        if genre == "wiki":
            return (
                f"{self.topic.name}នៅខេត្ត{self.province} ពាក់ព័ន្ធនឹង{self.thing()} {self.thing()} និង{self.thing()} "
                f"ដែល{self.person()}{self.action()}តាំងពីឆ្នាំ{khmer_number(self.year)}"
            )
        return f"{self.past()} {self.named()}បានទៅ{self.place()} ហើយជួប{self.person()}ដែលកំពុង{self.action()}{self.thing()}"

    # words of the topic ------------------------------------------------------------------------------------------

    def thing(self) -> str:
        """A thing of the topic, three times in four one of this document's own five."""
        return self.rng.choice(self.main_things if self.rng.random() < 0.75 else self.topic.things)

    def person(self) -> str:
        """A kind of people of the topic, three times in four one of this document's own four."""
        return self.rng.choice(self.main_people if self.rng.random() < 0.75 else self.topic.people)

    def action(self) -> str:
        """A transitive verb of the topic."""
        return self.rng.choice(self.topic.actions)

    def quality(self) -> str:
        """What a thing of the topic is like; follows the noun."""
        return self.rng.choice(self.topic.qualities)

    def place(self) -> str:
        """A place of the topic, with no preposition."""
        return self.rng.choice(self.topic.places)

    def cause(self) -> str:
        """A reason."""
        return self.rng.choice(self.topic.causes)

    def aim(self) -> str:
        """A purpose: one of the topic's own, or any action on any thing."""
        if self.rng.random() < 0.4:
            return self.rng.choice(self.topic.aims)
        return f"{self.action()}{self.thing()}"

    def object(self) -> str:
        """A thing, often with a quality."""
        return self.thing() + (self.quality() if self.rng.random() < 0.45 else "")

    # people, places, times ---------------------------------------------------------------------------------------

    def named(self) -> str:
        """One of this document's three people, with title."""
        return self.rng.choice(self.cast)

    def subject(self) -> str:
        """Who acts: a kind of people, some of them, a number of them, or a person by name."""
        roll = self.rng.random()
        if roll < 0.35:
            return self.person()
        if roll < 0.6:
            return self.named()
        if roll < 0.75:
            return (
                f"{self.person()}{self.rng.choice(('ភាគច្រើន', 'មួយចំនួន', 'ខ្លះ', 'ទាំងអស់', 'ជាច្រើន'))}"
            )
        if roll < 0.9:
            return f"{self.person()}ចំនួន {khmer_number(self.rng.randrange(2, 90))}នាក់ "
        return f"{self.person()}នៅ{self.place()}"

    def where(self) -> str:
        """Where: a place of the topic, the village or the province."""
        return self.rng.choice(
            (
                f"នៅ{self.place()}",
                f"នៅក្នុងភូមិ{self.village}",
                f"ក្នុងខេត្ត{self.province}",
                f"ជិត{self.place()}",
                f"ពី{self.place()}ទៅ{self.place()}",
            )
        )

    def season(self) -> str:
        """A month and the season it belongs to."""
        if self.rng.random() < 0.5:
            return f"ខែ{self.rng.choice(words.DRY_MONTHS)} ក្នុងរដូវប្រាំង"
        return f"ខែ{self.rng.choice(words.WET_MONTHS)} ក្នុងរដូវវស្សា"

    def date(self) -> str:
        """A day in full, of this document's year."""
        month = self.rng.choice(words.DRY_MONTHS + words.WET_MONTHS)
        day = khmer_number(self.rng.randrange(1, 29))
        weekday = f"{self.rng.choice(words.WEEKDAYS)} " if self.rng.random() < 0.3 else ""
        return f"ថ្ងៃ{weekday}ទី{day} ខែ{month} ឆ្នាំ{khmer_number(self.year)}"

    def past(self) -> str:
        """A time gone by."""
        roll = self.rng.random()
        if roll < 0.6:
            return self.rng.choice(words.PAST_TIMES)
        return f"នៅ{self.date()}" if roll < 0.8 else self.season()

    def manner(self) -> str:
        """How it is done."""
        return self.rng.choice(words.MANNERS)

    def money(self) -> str:
        """A sum in riel or dollars."""
        if self.rng.random() < 0.5:
            return f"{khmer_number(self.rng.randrange(5, 900) * 1000)}រៀល"
        return f"{khmer_number(self.rng.randrange(20, 5000))}ដុល្លារ"

    def _name(self) -> str:
        female = self.rng.random() < 0.5
        title = self.rng.choice(words.FEMALE_TITLES if female else words.MALE_TITLES)
        given = self.rng.choice(words.FEMALE_NAMES if female else words.MALE_NAMES)
        return f"{title} {self.rng.choice(words.FAMILY_NAMES)} {given}"


def khmer_number(value: int) -> str:
    """Write a number in Khmer digits, thousands parted by a dot as Khmer print does.

    >>> khmer_number(45000)
    '៤៥.០០០'
    """
    written = f"{value:,}".replace(",", ".") if value >= 10_000 else str(value)
    return written.translate(words.KHMER_DIGITS)
