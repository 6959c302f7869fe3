"""a dice and a language -> the pages quality scoring must throw out: boilerplate, UI strings, scraps, mixtures."""

from __future__ import annotations

from random import Random

from tonsai_pipeline.sample.grammar import TOPICS, Lang, document, headline, khmer_document
from tonsai_pipeline.sample.legacy_font import legacy_font_text

_MENUS: dict[Lang, tuple[str, ...]] = {
    "khm": (
        "ទំព័រដើម",
        "ព័ត៌មានជាតិ",
        "អន្តរជាតិ",
        "កីឡា",
        "សិល្បៈ",
        "សុខភាព",
        "វីដេអូ",
        "ការផ្សាយពាណិជ្ជកម្ម",
        "ទំនាក់ទំនង",
        "អំពីយើង",
        "ចូលគណនី",
        "ស្វែងរក",
    ),
    "eng": (
        "Home",
        "News",
        "World",
        "Sport",
        "Arts",
        "Health",
        "Video",
        "Advertise",
        "Contact",
        "About us",
        "Log in",
        "Search",
    ),
}
_LINKS: dict[Lang, tuple[str, ...]] = {
    "khm": ("អានបន្ត »", "ចែករំលែក", "ចូលចិត្ត 0", "បោះពុម្ព", "មតិយោបល់ (0)", "មើលច្រើនទៀត", "អត្ថបទទាក់ទង"),
    "eng": ("Read more »", "Share", "Like 0", "Print", "Comments (0)", "See all", "Related posts"),
}
_FOOTERS: dict[Lang, tuple[str, ...]] = {
    "khm": (
        "រក្សាសិទ្ធិគ្រប់យ៉ាង",
        "គោលការណ៍ឯកជនភាព",
        "លក្ខខណ្ឌប្រើប្រាស់",
        "គេហទំព័រនេះប្រើ cookies | យល់ព្រម | បដិសេធ",
        "ទៅលើ ↑",
    ),
    "eng": (
        "All rights reserved",
        "Privacy policy",
        "Terms of use",
        "This site uses cookies | Accept | Decline",
        "Back to top ↑",
    ),
}
_UI_VERBS: dict[Lang, tuple[str, ...]] = {
    "khm": (
        "បើក",
        "បិទ",
        "រក្សាទុក",
        "លុប",
        "កែសម្រួល",
        "បញ្ចូល",
        "ចម្លង",
        "បិទភ្ជាប់",
        "បោះបង់",
        "តម្រៀប",
        "បង្ហាញ",
        "លាក់",
        "ជ្រើស",
        "ផ្លាស់ប្តូរ",
    ),
    "eng": (
        "Open",
        "Close",
        "Save",
        "Delete",
        "Edit",
        "Insert",
        "Copy",
        "Paste",
        "Cancel",
        "Sort",
        "Show",
        "Hide",
        "Select",
        "Change",
    ),
}
_UI_NOUNS: dict[Lang, tuple[str, ...]] = {
    "khm": (
        "ឯកសារ",
        "ថត",
        "តារាង",
        "រូបភាព",
        "ទំព័រ",
        "ជួរឈរ",
        "ពុម្ពអក្សរ",
        "ពាក្យសម្ងាត់",
        "បង្អួច",
        "ក្រឡា",
        "របារឧបករណ៍",
        "ម៉ាក្រូ",
    ),
    "eng": (
        "file",
        "folder",
        "table",
        "image",
        "page",
        "column",
        "font",
        "password",
        "window",
        "cell",
        "toolbar",
        "macro",
    ),
}
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
            verb=rng.choice(_UI_VERBS[lang]),
            noun=rng.choice(_UI_NOUNS[lang]),
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
    menu = list(_MENUS[lang])
    Random(f"menu {site}").shuffle(menu)
    lines = [site or "example.org", *menu]
    for _ in range(rng.randrange(5, 12)):
        lines += [
            headline(rng, lang),
            f"{rng.randrange(1, 29):02d}/{rng.randrange(1, 13):02d}/2026 | {rng.randrange(2, 999)}",
        ]
        lines += rng.sample(_LINKS[lang], 3)
    lines += [" | ".join(menu), f"© 2026 {site}", *_FOOTERS[lang]]
    return "\n".join(lines)


def legacy_font_page(rng: Random, num_paragraphs: int = 3) -> str:
    """Write a Khmer document as a Limon-style font would have stored it."""
    return legacy_font_text(khmer_document(rng, num_paragraphs=num_paragraphs))


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
