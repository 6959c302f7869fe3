"""Rules: every reason has a page that earns it, prose earns none, and stricter limits never keep more."""

from __future__ import annotations

import math
from dataclasses import asdict, fields, replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.quality.rules import LIMIT_NAMES, DropReason, Limits, judge, too_few, too_many
from tonsai_pipeline.quality.signals import Signal, measure
from tonsai_pipeline.recipe.quality import QualityConfig, Thresholds
from tonsai_pipeline.recipe.sources import Kind
from tonsai_pipeline_tests.quality.pages import (
    english_prose,
    khmer_prose,
    menu,
    tagged_titles,
)

ENGLISH = Limits.of(QualityConfig().eng)
KHMER = Limits.of(QualityConfig().khm)
PROSE = english_prose(12, 3)


def words_of(seed: int, num: int) -> list[str]:
    """Words that nobody knows."""
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("bdfgklmnprstvaeiou"), 7)) for _ in range(num)]


def reason(text: str, limits: Limits = ENGLISH, bad: float = 0.0) -> DropReason | None:
    return judge(measure(pa.array([text])), limits, bad_clusters_frac=np.array([bad]))[0]


@pytest.mark.parametrize("seed", range(5))
def test_prose_stays(seed: int) -> None:
    assert reason(english_prose(12, seed)) is None
    assert reason(khmer_prose(12, seed), KHMER) is None


TITLES = "\n".join(
    f"{a.title()} {b} {c} of broken {d}"
    for a, b, c, d in zip(*[iter(words_of(1, 160))] * 4, strict=True)
)
EXAMPLES = {
    DropReason.too_few_words: "Save the file.",
    DropReason.too_few_letters: PROSE + " -- .. ,, ;;" * 80,
    DropReason.too_many_symbols: tagged_titles(1),
    DropReason.too_many_digits: PROSE + "".join(f" {n}" for n in range(10000, 10065)),
    DropReason.too_many_placeholders: PROSE + " {name} of %s" * 8,
    DropReason.too_many_links: PROSE + "".join(f" www.{w}.org" for w in PROSE.split()[:25]),
    DropReason.words_too_short: "It is so: I am on it, or if it is to be up. " * 3,
    DropReason.words_too_long: "Uncharacteristically, the internationalisation of telecommunications. "
    * 8,
    DropReason.too_few_stop_words: " ".join(
        f"Red{i} brick house{i} stood." for i in "abcdefghijkl"
    ),
    DropReason.short_without_sentence: "Bread, butter, cheese, fish, rice, meat, eggs, salt, sugar, milk, tea, coffee, juice, beans, corn, soap, oil",
    DropReason.too_many_interface_words: "Click the button to open the dialog, then drag the icon to the toolbar and "
    "press the mouse button twice.",
    DropReason.too_few_sentences: TITLES,
    DropReason.too_many_short_lines: "\n".join(f"{w.title()} here." for w in PROSE.split()[:90:2]),
    DropReason.too_many_bullets: "\n".join(
        "- " + part for part in PROSE.replace("\n", " ").split(". ")
    )
    + ".",
    DropReason.too_many_ellipses: PROSE.replace(". ", "...\n"),
    DropReason.repeated_lines: "\n".join([PROSE.splitlines()[0]] * 3 + PROSE.splitlines()),
    DropReason.repeated_paragraphs: "\n\n".join(
        [PROSE.splitlines()[0] + "\n" + PROSE.splitlines()[1]] * 2 + [PROSE.splitlines()[2]]
    ),
    DropReason.repeated_phrases: "".join(
        f"Buy the best rice of the town at {p}! " for p in PROSE.split()[:30]
    ),
}


@pytest.mark.parametrize(
    ("wanted", "text"), list(EXAMPLES.items()), ids=[str(key) for key in EXAMPLES]
)
def test_each_reason_has_a_page_that_earns_it(wanted: DropReason, text: str) -> None:
    if wanted == DropReason.repeated_paragraphs:
        # The lines of repeated paragraphs are repeated lines too: look past them.
        relaxed = replace(ENGLISH, max_duplicate_line_frac=1.0, max_duplicate_line_char_frac=1.0)
        assert reason(text, relaxed) == wanted
    else:
        assert reason(text) == wanted


def test_repeated_passages_are_seen_where_no_phrase_dominates() -> None:
    page = english_prose(40, 5).replace("\n", " ")
    assert reason(page + "\n" + page) in (DropReason.repeated_lines, DropReason.repeated_passages)
    assert reason(page + " " + page) == DropReason.repeated_passages


def test_program_text_is_not_accused_of_a_legacy_font() -> None:
    code = (
        "def findNode(self, elemId): nodeList = docRoot.childNodes; lastNode = nodeList.popItem() "
    )
    code += "while lastNode.nodeType: nextNode = nodeList.takeItem(); lastNode.addChild(nextNode)"
    assert reason(code) == DropReason.short_without_sentence


def test_broken_khmer_is_told_by_the_normalizers_counts() -> None:
    assert reason(khmer_prose(12, 1), KHMER, bad=0.06) == DropReason.broken_khmer
    assert reason(khmer_prose(1, 1), KHMER, bad=0.03) is None, "one slip in forty clusters"


def test_a_menu_is_dropped() -> None:
    assert reason(menu(1, 30)) is not None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(LIMIT_NAMES), st.floats(0, 1))
def test_a_stricter_limit_never_keeps_more(seed: int, name: str, part: float) -> None:
    texts = [english_prose(1 + seed % 9, seed), menu(seed), tagged_titles(seed), PROSE * 2]
    signals = measure(pa.array(texts))
    value = getattr(ENGLISH, name)
    stricter = value * (1 + part) + part if name.startswith("min_") else value * (1 - part)
    before = judge(signals, ENGLISH)
    after = judge(signals, replace(ENGLISH, **{name: stricter}))
    assert all(b is None or a is not None for a, b in zip(after, before, strict=True))


# --- evidence before a verdict -----------------------------------------------------------------


@pytest.mark.parametrize("expected", [0.2, 1.0, 3.0, 3.95, 8.0, 20.0, 60.0])
def test_too_few_and_too_many_are_a_poisson_test_of_two_percent(expected: float) -> None:
    counts = np.arange(200.0)
    low, high = (test(counts, np.full(200, expected)) for test in (too_few, too_many))
    for count in range(200):
        below, above = poisson_tail(expected, count)
        if abs(below - 0.02) > 0.002:
            assert low[count] == (below < 0.02), count
        if count and abs(above - 0.02) > 0.004:
            assert high[count] == (above < 0.02), count


def poisson_tail(mean: float, count: int) -> tuple[float, float]:
    """P(X <= count) and P(X >= count), term by term."""
    term, below = math.exp(-mean), 0.0
    for k in range(count):
        below += term
        term *= mean / (k + 1)
    return below + term, 1 - below


RUNNING_KHMER = "".join(
    khmer_prose(3, seed).replace("\u17d4", " ហើយ") for seed in range(9)
).replace("\n", " ")


@pytest.mark.parametrize("num_chars", [150, 326, 700, 1500])
def test_khmer_that_runs_on_without_a_khan_stays(num_chars: int) -> None:
    text = RUNNING_KHMER[:num_chars]
    assert "\u17d4" not in text
    assert reason(text, KHMER) is None
    assert reason(text + "\u17d4", KHMER) is None


def test_a_long_list_without_a_sentence_or_function_word_is_dropped() -> None:
    assert reason("កម្ពុជា ឡាវ ថៃ វៀតណាម ភូមា ម៉ាឡេស៊ី សិង្ហបុរី ឥណ្ឌូនេស៊ី " * 12, KHMER) is not None


def test_a_headline_stays_and_a_list_of_names_of_its_length_does_not() -> None:
    headline = "រដ្ឋបាលខេត្តអំពាវនាវឱ្យប្រជាពលរដ្ឋចូលរួមសម្អាតបរិស្ថាននៅតាមដងទន្លេក្នុងឱកាសបុណ្យអុំទូក"
    names = "កណ្តាល តាកែវ កំពត កែប ព្រះសីហនុ កោះកុង ពោធិ៍សាត់ បាត់ដំបង បន្ទាយមានជ័យ សៀមរាប កំពង់ធំ ក្រចេះ"
    assert reason(headline, KHMER) is None
    assert reason(names, KHMER) == DropReason.short_without_sentence


def test_a_name_said_thrice_in_a_short_report_is_no_spam() -> None:
    report = (
        "The district of Stung Meas counted its votes on Sunday. In the district of Stung Meas the north voted first, "
        "and nobody complained. People of the district of Stung Meas hope that the bridge will be built before the "
        "rains, as they were told when the last votes were counted there."
    )
    assert reason(report) is None
    assert reason(" ".join(["Cheap rice of Stung Meas."] * 14)) == DropReason.repeated_phrases


def test_a_list_of_titles_is_no_prose_and_a_transcript_without_marks_is_no_list() -> None:
    talk = "\n".join(
        f"and then somebody said to her that they were the {w} of them all"
        for w in PROSE.split()[:40]
    )
    assert reason(TITLES) == DropReason.too_few_sentences
    assert (
        reason(
            talk,
            replace(
                ENGLISH,
                max_top_4_gram_frac=1,
                max_top_3_gram_frac=1,
                max_top_2_gram_frac=1,
                **{f"max_duplicate_{n}_gram_frac": 1.0 for n in range(5, 11)},
            ),
        )
        is None
    )


# --- kinds ---------------------------------------------------------------------------------------

SENTENCES = (
    "She likes her new dog.",
    "ខ្ញុំស្រឡាញ់អ្នក។",
    "Birds sing.",
    "តើអ្នកទៅណា?",
    "He died later in hospital",
)
MENUS = ("Save As...", "File", "Page layout", "ទទឹង", "ពណ៌របស់", "Zoom In:")
ENTRY = "កល់កែ [កល់-កែ] ន. (ម.ព. កូវកែ)។"
VERSE = "ទឹកហូរតាមស្ទឹង\nចិត្តខ្ញុំនឹករឭក\nស្រុកភូមិកំណើត\nដែលនៅឆ្ងាយណាស់"


def of_kind(kind: Kind, text: str) -> DropReason | None:
    found = measure(pa.array([text]))
    language = "khm" if found.of(Signal.khmer_frac)[0] > 0.1 else "eng"
    return judge(found, Limits.of(QualityConfig().of(language, kind)))[0]


@pytest.mark.parametrize("text", SENTENCES)
def test_everyday_sentences_stay_where_a_source_has_sentences(text: str) -> None:
    assert of_kind("sentences", text) is None
    assert of_kind("prose", text) == DropReason.too_few_words


@pytest.mark.parametrize("text", MENUS)
def test_menu_strings_are_no_sentences(text: str) -> None:
    assert of_kind("sentences", text) is not None


def test_each_kind_keeps_what_prose_drops() -> None:
    chat = "<sok> are you there\n<dara> :)\n<sok> i was at the river\n<dara> ok\n<sok> see you then"
    for kind, text in (
        ("lexicon", ENTRY),
        ("verse", VERSE),
        ("dialogue", chat),
        ("headlines", "Tsunami toll soars"),
    ):
        assert of_kind(kind, text) is None, kind
        assert of_kind("prose", text) is not None, kind


@pytest.mark.parametrize("text", ["ថៃបិទព្រំដែន", "តម្លៃសាំងឡើងថ្លៃ"])
def test_the_shortest_headlines_stay_where_a_source_has_headlines(text: str) -> None:
    assert of_kind("headlines", text) is None


def test_ten_lines_of_verse_with_a_khan_at_the_end_stay_in_prose() -> None:
    lines = [
        *VERSE.splitlines(),
        "ផ្ទះតូចក្បែរវត្ត",
        "ម្តាយចាំផ្លូវកូន",
        "រដូវភ្លៀងមកដល់",
        "ស្រែបៃតងហើយ",
        "ខ្យល់បក់រំភើយ",
        "បេះដូងខ្ញុំស្ងប់",
    ]
    assert of_kind("prose", "\n".join(lines) + " ។") is None


def test_a_short_complete_sentence_stays_in_prose_unless_it_is_about_a_program() -> None:
    assert (
        of_kind(
            "prose", "The government of Wales gave the assembly the power to change its own laws."
        )
        is None
    )
    assert (
        of_kind(
            "prose", "The dialog shows the toolbar and the buttons that you have to click in it."
        )
        is not None
    )


def test_every_limit_stands_in_the_recipe() -> None:
    assert {field.name for field in fields(Limits)} <= set(Thresholds.model_fields)
    assert asdict(ENGLISH) == {name: getattr(QualityConfig().eng, name) for name in LIMIT_NAMES}
