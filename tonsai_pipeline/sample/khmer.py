"""a dice and a topic -> a Khmer document: a lead, paragraphs of sentences, a closing mark.

Every sentence is drawn from `_PATTERNS`, filled from the document's scene. No pattern's fixed words fill a shingle (12
clusters) on their own, so two documents that share a pattern need not share a shingle.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tonsai_pipeline.sample import khmer_words as words
from tonsai_pipeline.sample.khmer_scene import KhmerScene, khmer_number
from tonsai_pipeline.sample.khmer_topics import KHMER_TOPICS
from tonsai_pipeline.sample.topic import Topic

KHAN = "។"
BARIYOOSAN = "៕"


def write_khmer(
    rng: Random, topic: Topic | None = None, num_paragraphs: int | None = None, genre: str = "web"
) -> str:
    """Write one Khmer document.

    Args:
        rng: All choices come from here: the same state gives the same document.
        topic: What it is about; drawn when not given.
        num_paragraphs: How many paragraphs, one a line; 3 to 6 when not given.
        genre: ``news``, ``wiki``, ``web`` or ``book``; decides the opening sentence and the last mark.

    Returns:
        Paragraphs joined by a newline. The text is a fixed point of the UTN #61 normalizer.
    """
    scene = KhmerScene(rng, topic or rng.choice(KHMER_TOPICS))
    paragraphs = [
        _paragraph(scene, scene.lead(genre) if number == 0 else None)
        for number in range(num_paragraphs or rng.randrange(3, 7))
    ]
    if genre == "news":
        paragraphs[-1] = paragraphs[-1].removesuffix(KHAN) + BARIYOOSAN
    return "\n".join(paragraphs)


def khmer_title(rng: Random, topic: Topic | None = None) -> str:
    """Write a headline of a topic."""
    return KhmerScene(rng, topic or rng.choice(KHMER_TOPICS)).title()


def khmer_sentence(scene: KhmerScene) -> str:
    """Draw one sentence of a scene, without its final mark."""
    return scene.rng.choice(_PATTERNS)(scene).rstrip()


def _paragraph(scene: KhmerScene, lead: str | None) -> str:
    sentences = [lead] if lead else []
    for _ in range(scene.rng.randrange(2, 6)):
        sentence = khmer_sentence(scene)
        if sentences and scene.rng.random() < 0.25:
            sentence = f"{scene.rng.choice(words.LINKS)} {sentence}"
        sentences.append(sentence)
    # A question carries its own mark; khan would be a second one.
    return " ".join(s if s.endswith(("?", KHAN)) else s + KHAN for s in sentences)


def _did(s: KhmerScene) -> str:
    return f"{s.past()} {s.subject()}បាន{s.action()}{s.object()} {s.where()}"


def _did_with_manner(s: KhmerScene) -> str:
    return f"{s.subject()}បាន{s.action()}{s.object()}{s.manner()} {s.past()}"


def _modal_aim(s: KhmerScene) -> str:
    return f"{s.subject()}{s.rng.choice(words.MODALS)}{s.action()}{s.object()} ដើម្បី{s.aim()}"


def _said_because(s: KhmerScene) -> str:
    return (
        f"{s.named()} {s.rng.choice(words.SPEECH)} {s.object()}"
        f"{s.rng.choice(words.JUDGEMENTS)}{s.rng.choice(words.DEGREES)} ដោយសារ{s.cause()}"
    )


def _rose_or_fell(s: KhmerScene) -> str:
    measure = s.rng.choice(s.topic.measures)
    low, high = sorted(s.rng.sample(range(measure.low, measure.high + 1), 2))
    rises = s.rng.random() < 0.6
    before, after = (low, high) if rises else (high, low)
    verb = s.rng.choice(("បានកើនឡើង", "ឡើង") if rises else ("បានថយចុះ", "ធ្លាក់"))
    return f"{measure.noun}{s.where()} {verb}ពី {khmer_number(before)} ទៅ {khmer_number(after)}{measure.unit} {s.past()}"


def _although(s: KhmerScene) -> str:
    return f"ទោះបី{s.cause()}ក៏ដោយ {s.subject()}នៅតែ{s.action()}{s.object()}{s.manner()}"


def _there_are(s: KhmerScene) -> str:
    count = khmer_number(s.rng.randrange(3, 240))
    return f"{s.where()} មាន{s.person()}ចំនួន {count}នាក់ ដែលកំពុង{s.action()}{s.object()}"


def _after_that(s: KhmerScene) -> str:
    return f"ក្រោយពី{s.action()}{s.object()}រួច {s.subject()}ក៏{s.action()}{s.thing()} {s.where()}"


def _is_role_for(s: KhmerScene) -> str:
    return f"{s.object()} និង{s.thing()} គឺជា{s.rng.choice(words.ROLES)}របស់{s.person()} {s.where()}"


def _according_to(s: KhmerScene) -> str:
    source = s.rng.choice(words.SOURCES)
    return f"តាម{source}ពីខេត្ត{s.province} {s.person()}{s.action()}{s.object()} ព្រោះ{s.cause()}"


def _quote(s: KhmerScene) -> str:
    quoted = f"{s.person()}{s.rng.choice(words.MODALS)}{s.action()}{s.object()}{s.manner()}"
    return f"«{quoted}» នេះជាពាក្យរបស់{s.named()} {s.past()}"


def _habit(s: KhmerScene) -> str:
    return f"{s.rng.choice(words.HABITS)} {s.subject()}តែងតែ{s.action()}{s.object()} រួច{s.action()}{s.thing()}{s.manner()}"


def _spent(s: KhmerScene) -> str:
    age = khmer_number(s.rng.randrange(19, 84))
    return (
        f"{s.named()} អាយុ {age}ឆ្នាំ ជា{s.person()} បានចំណាយ {s.money()} សម្រាប់{s.action()}{s.object()}"
    )


def _question(s: KhmerScene) -> str:
    return f"តើ{s.person()}អាច{s.action()}{s.object()}ដោយរបៀបណា? ចម្លើយគឺ {s.action()}{s.thing()}{s.manner()}"


def _when_happens(s: KhmerScene) -> str:
    return (
        f"កាលណា{s.cause()} {s.person()}មិន{s.action()}{s.object()}ទេ ប៉ុន្តែ{s.action()}{s.thing()}វិញ"
    )


def _compared(s: KhmerScene) -> str:
    return f"{s.object()}{s.rng.choice(words.JUDGEMENTS)}ជាង{s.object()} បើតាម{s.rng.choice(words.SOURCES)} {s.past()}"


def _not_only(s: KhmerScene) -> str:
    return f"មិនត្រឹមតែ{s.action()}{s.object()}ទេ {s.subject()}ថែមទាំង{s.action()}{s.thing()} {s.where()}ទៀតផង"


def _some_of(s: KhmerScene) -> str:
    whole = s.rng.randrange(10, 400)
    part = khmer_number(s.rng.randrange(2, whole))
    return f"ក្នុងចំណោម{s.person()} {khmer_number(whole)}នាក់ មាន {part}នាក់បាន{s.action()}{s.object()} {s.past()}"


def _felt(s: KhmerScene) -> str:
    feeling = s.rng.choice(words.FEELINGS)
    return f"{s.named()} {feeling}{s.rng.choice(words.DEGREES)} ពេលឃើញ{s.person()}{s.action()}{s.object()} {s.where()}"


def _costs(s: KhmerScene) -> str:
    return f"ការ{s.action()}{s.object()} អស់ {s.money()} និងប្រើពេល {khmer_number(s.rng.randrange(2, 30))}ថ្ងៃ"


def _if_then(s: KhmerScene) -> str:
    return f"ប្រសិនបើ{s.person()}{s.action()}{s.object()}{s.manner()} នោះ{s.thing()}នឹង{s.rng.choice(words.JUDGEMENTS)}{s.rng.choice(words.DEGREES)}"


def _in_season(s: KhmerScene) -> str:
    return f"{s.season()} {s.person()}{s.where()} {s.rng.choice(words.MODALS)}{s.action()}{s.object()} ដើម្បី{s.aim()}"


_PATTERNS: tuple[Callable[[KhmerScene], str], ...] = (
    _did,
    _did,
    _did_with_manner,
    _modal_aim,
    _modal_aim,
    _said_because,
    _rose_or_fell,
    _although,
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
    _in_season,
)
