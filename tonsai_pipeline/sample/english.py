"""a dice and a topic -> an English document: a lead, paragraphs of sentences.

Every sentence is drawn from `_PATTERNS`, filled from the document's scene. No pattern's fixed words fill a shingle (5
words) on their own, so two documents that share a pattern need not share a shingle.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tonsai_pipeline.sample import english_words as words
from tonsai_pipeline.sample.english_scene import EnglishScene
from tonsai_pipeline.sample.english_topics import ENGLISH_TOPICS
from tonsai_pipeline.sample.topic import Topic


def write_english(
    rng: Random, topic: Topic | None = None, num_paragraphs: int | None = None, genre: str = "web"
) -> str:
    """Write one English document.

    Args:
        rng: All choices come from here: the same state gives the same document.
        topic: What it is about; drawn when not given.
        num_paragraphs: How many paragraphs, one a line; 3 to 6 when not given.
        genre: ``news``, ``wiki``, ``web`` or ``book``; decides the opening sentence.

    Returns:
        Paragraphs joined by a newline.
    """
    scene = EnglishScene(rng, topic or rng.choice(ENGLISH_TOPICS))
    return "\n".join(
        _paragraph(scene, scene.lead(genre) if number == 0 else None)
        for number in range(num_paragraphs or rng.randrange(3, 7))
    )


def english_title(rng: Random, topic: Topic | None = None) -> str:
    """Write a headline of a topic."""
    return EnglishScene(rng, topic or rng.choice(ENGLISH_TOPICS)).title()


def english_sentence(scene: EnglishScene) -> str:
    """Draw one sentence of a scene, without its final mark."""
    return scene.rng.choice(_PATTERNS)(scene)


def _paragraph(scene: EnglishScene, lead: str | None) -> str:
    sentences = [lead] if lead else []
    for _ in range(scene.rng.randrange(3, 7)):
        sentence = english_sentence(scene)
        if sentences and scene.rng.random() < 0.25:
            sentence = f"{scene.rng.choice(words.LINKS)}, {sentence}"
        sentences.append(sentence)
    return " ".join(
        s[0].upper() + s[1:] + ("" if s.endswith(("?", ".")) else ".") for s in sentences
    )


def _did(s: EnglishScene) -> str:
    return f"{s.past()} {s.subject()} {s.act('past')} {s.object()} {s.where()}"


def _did_with_manner(s: EnglishScene) -> str:
    return f"{s.subject()} {s.act('past')} {s.object()} {s.manner()} {s.past()}"


def _modal_aim(s: EnglishScene) -> str:
    return (
        f"the {s.person()} {s.rng.choice(words.MODALS)} {s.act('base')} {s.object()} to {s.aim()}"
    )


def _said_because(s: EnglishScene) -> str:
    degree, judgement = s.rng.choice(words.DEGREES), s.rng.choice(words.JUDGEMENTS)
    return f"{s.named()} {s.rng.choice(words.SPEECH)} that {s.object()} seemed {degree} {judgement} because of {s.cause()}"


def _rose_or_fell(s: EnglishScene) -> str:
    measure = s.rng.choice(s.topic.measures)
    low, high = sorted(s.rng.sample(range(measure.low, measure.high + 1), 2))
    rises = s.rng.random() < 0.6
    before, after = (low, high) if rises else (high, low)
    verb = s.rng.choice(("rose", "grew", "climbed") if rises else ("fell", "dropped", "shrank"))
    return f"the {measure.noun} {s.where()} {verb} from {before:,} to {after:,} {measure.unit} {s.past()}"


def _despite(s: EnglishScene) -> str:
    return f"despite {s.cause()}, {s.subject()} {s.act('past')} {s.object()} {s.manner()}"


def _there_are(s: EnglishScene) -> str:
    return (
        f"{s.where()} there were {s.rng.randrange(3, 240)} {s.person()} {s.act('ing')} {s.object()}"
    )


def _after_that(s: EnglishScene) -> str:
    return (
        f"after {s.act('ing')} {s.object()}, {s.subject()} {s.act('past')} {s.thing()} {s.where()}"
    )


def _is_role_for(s: EnglishScene) -> str:
    return f"{s.object()} and {s.thing()} became {s.rng.choice(words.ROLES)} for {s.person()} {s.where()}"


def _according_to(s: EnglishScene) -> str:
    source = s.rng.choice(words.SOURCES)
    return f"according to {source} from {s.county}, {s.person()} {s.act('past')} {s.object()} because of {s.cause()}"


def _quote(s: EnglishScene) -> str:
    quoted = f"our {s.person()} {s.rng.choice(words.MODALS)} {s.act('base')} {s.object()}"
    return f'"{quoted[0].upper()}{quoted[1:]}," {s.named()} {s.rng.choice(words.SPEECH)} {s.past()}'


def _habit(s: EnglishScene) -> str:
    return f"{s.rng.choice(words.HABITS)} the {s.person()} {s.act('base')} {s.object()} and {s.act('base')} {s.thing()}"


def _spent(s: EnglishScene) -> str:
    return f"{s.named()}, aged {s.rng.randrange(19, 84)}, spent {s.money()} on {s.act('ing')} {s.object()}"


def _question(s: EnglishScene) -> str:
    return f"how can {s.person()} {s.act('base')} {s.object()}? By {s.act('ing')} {s.thing()} {s.manner()}"


def _when_happens(s: EnglishScene) -> str:
    return f"in times of {s.cause()} {s.person()} stop {s.act('ing')} {s.object()} but {s.act('base')} {s.thing()}"


def _compared(s: EnglishScene) -> str:
    return f"{s.object()} can be more {s.rng.choice(words.JUDGEMENTS)} than {s.object()}, as {s.rng.choice(words.SOURCES)} showed {s.past()}"


def _not_only(s: EnglishScene) -> str:
    return f"besides {s.act('ing')} {s.object()}, {s.subject()} also {s.act('past')} {s.thing()} {s.where()}"


def _some_of(s: EnglishScene) -> str:
    whole = s.rng.randrange(10, 400)
    return f"of {whole} {s.person()}, {s.rng.randrange(2, whole)} {s.act('past')} {s.object()} {s.past()}"


def _felt(s: EnglishScene) -> str:
    feeling = s.rng.choice(words.FEELINGS)
    return f"{s.named()} was {s.rng.choice(words.DEGREES)} {feeling} to see {s.person()} {s.act('ing')} {s.object()} {s.where()}"


def _costs(s: EnglishScene) -> str:
    return f"{s.act('ing')} {s.object()} {s.where()} costs {s.money()} and takes {s.rng.randrange(2, 30)} days"


def _if_then(s: EnglishScene) -> str:
    return f"if {s.person()} {s.act('base')} {s.object()} {s.manner()}, {s.thing()} will be {s.rng.choice(words.DEGREES)} {s.rng.choice(words.JUDGEMENTS)}"


def _without(s: EnglishScene) -> str:
    return f"without {s.object()}, no {s.person()} could {s.aim()} {s.where()}"


_PATTERNS: tuple[Callable[[EnglishScene], str], ...] = (
    _did,
    _did,
    _did_with_manner,
    _modal_aim,
    _modal_aim,
    _said_because,
    _rose_or_fell,
    _despite,
    _there_are,
    _after_that,
    _is_role_for,
    _according_to,
    _quote,
    _habit,
    _spent,
    _question,
    _when_happens,
    _compared,
    _not_only,
    _some_of,
    _felt,
    _costs,
    _if_then,
    _without,
)
