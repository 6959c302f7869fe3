"""a random generator and a language -> the pages quality scoring must throw out: boilerplate, UI strings, scraps, mixtures."""

from __future__ import annotations

from random import Random

from tonsai_pipeline.synthetic.grammar import TOPICS, Lang, document, headline, language
from tonsai_pipeline.synthetic.legacy_font import legacy_font_text

_UI_SHAPES = (
    "~{verb} {noun}",
    "{verb} {noun}...",
    "{noun}: %s",
    "{verb} (Ctrl+{key})",
    "$(ARG1) {noun}",
    "{noun} %1 / %2",
    "<b>{verb}</b> {noun}",
    "{noun}",
    "{verb}",
    "[{noun}] {number}px",
)


def ui_strings(rng: Random, lang: Lang, num_strings: int = 40) -> str:
    """Write the strings of a program's menus and dialogs, one a line."""
    return "\n".join(
        rng.choice(_UI_SHAPES).format(
            verb=rng.choice(language(lang).junk["ui_verbs"]),
            noun=rng.choice(language(lang).junk["ui_nouns"]),
            key=rng.choice("ABCFNOPSVXZ"),
            number=rng.randrange(1, 400),
        )
        for _ in range(num_strings)
    )


def boilerplate_page(rng: Random, lang: Lang, site: str = "") -> str:
    """Write a page of navigation, teasers and footers with no article in it.

    Pages of one site share everything but their teasers, as real ones do.

    Args:
        rng: Chooses the teasers.
        lang: Language of the page.
        site: Name in the footer; the menu's order follows from it.
    """
    menu = list(language(lang).junk["menus"])
    Random(f"menu {site}").shuffle(menu)
    lines = [site or "example.org", *menu]
    for _ in range(rng.randrange(5, 12)):
        lines += [
            headline(rng, lang),
            f"{rng.randrange(1, 29):02d}/{rng.randrange(1, 13):02d}/2026 | {rng.randrange(2, 999)}",
        ]
        lines += rng.sample(language(lang).junk["links"], 3)
    lines += [" | ".join(menu), f"© 2026 {site}", *language(lang).junk["footers"]]
    return "\n".join(lines)


def legacy_font_page(rng: Random, num_paragraphs: int = 3) -> str:
    """Write a Khmer document as a Limon-style font would have stored it."""
    return legacy_font_text(document(rng, "khm", num_paragraphs=num_paragraphs))


def mixed_page(rng: Random, num_paragraphs: int = 6) -> str:
    """Write a page whose paragraphs are Khmer and English by turns, on one topic.

    Khmer letters are 10 to 70 % of its letters, the band in which a page is mixed and neither language's.
    """
    topic = rng.choice(TOPICS)
    langs: tuple[Lang, Lang] = ("khm", "eng") if rng.random() < 0.5 else ("eng", "khm")
    return "\n".join(document(rng, langs[number % 2], topic, 1) for number in range(num_paragraphs))


def tiny_document(rng: Random, lang: Lang) -> str:
    """Write a scrap of a headline's length: far too short to learn from."""
    return headline(rng, lang)
