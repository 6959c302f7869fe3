"""Rules: every reason has a page that earns it, prose earns none, and stricter limits never keep more."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline.quality.rules import LIMIT_NAMES, DropReason, Limits, judge, margin
from tonsai_pipeline.quality.signals import measure
from tonsai_pipeline.recipe.quality import QualityConfig, Thresholds
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose, menu, tagged_titles

ENGLISH = Limits.of(QualityConfig().eng)
KHMER = Limits.of(QualityConfig().khm)
PROSE = english_prose(12, 3)


def reason(text: str, limits: Limits = ENGLISH, bad: float = 0.0) -> DropReason | None:
    return judge(measure(pa.array([text])), limits, bad_clusters_frac=np.array([bad]))[0]


@pytest.mark.parametrize("seed", range(5))
def test_prose_stays(seed: int) -> None:
    assert reason(english_prose(12, seed)) is None
    assert reason(khmer_prose(12, seed), KHMER) is None


LEGACY = "RkmrdæbevNI siT§ieRCIserIs tavkalik BIkarRbKl karpþl;siT§i EdlmanbBaØtþi " * 6
EXAMPLES = {
    DropReason.legacy_font: LEGACY,
    DropReason.too_few_words: "Save the file.",
    DropReason.too_few_letters: PROSE + " -- .. ,, ;;" * 60,
    DropReason.too_many_symbols: tagged_titles(1),
    DropReason.too_many_digits: PROSE + " 12" * 55,
    DropReason.too_many_placeholders: PROSE + " {name} of %s" * 8,
    DropReason.too_many_links: PROSE + " www.a.org" * 12,
    DropReason.words_too_short: "It is so: I am on it, or if it is to be up. " * 3,
    DropReason.words_too_long: "Uncharacteristically, the internationalisation of telecommunications. "
    * 8,
    DropReason.too_few_stop_words: " ".join(
        f"Red{i} brick house{i} stood." for i in "abcdefghijkl"
    ),
    DropReason.short_without_sentence: "The list of all the files that were on the disk and in the tray of the house by the old river",
    DropReason.too_few_sentences: PROSE.replace(".", ""),
    DropReason.too_many_short_lines: "\n".join(
        f"And the {w} was here." for w in PROSE.split()[:40]
    ),
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


def test_broken_khmer_is_told_by_the_normalizers_counts() -> None:
    assert reason(khmer_prose(12, 1), KHMER, bad=0.03) == DropReason.broken_khmer


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


def test_the_margin_orders_prose_above_junk() -> None:
    scores = margin(measure(pa.array([english_prose(60, 3), tagged_titles(1), menu(1)])), ENGLISH)
    assert scores[0] > 0.85 > 0.7 > scores[1:].max()
    assert scores.min() >= 0


def test_every_limit_stands_in_the_recipe() -> None:
    assert {field.name for field in fields(Limits)} <= set(Thresholds.model_fields)
    assert asdict(ENGLISH) == {name: getattr(QualityConfig().eng, name) for name in LIMIT_NAMES}
