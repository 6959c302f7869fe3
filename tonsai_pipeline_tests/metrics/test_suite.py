"""The shipped suite is whole and clean, and its review finds each fault that it is there for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tonsai_pipeline.metrics.suite import KINDS, Item, load_suite, parse_suite, review

ITEMS = load_suite()


def test_the_suite_has_what_it_promises() -> None:
    assert Counter(item.kind for item in ITEMS) == KINDS
    assert len(ITEMS) >= 200
    assert sum(item.popular is not None for item in ITEMS) == 10
    assert all(item.gloss and item.version == 1 for item in ITEMS)


def test_the_review_finds_nothing() -> None:
    assert review(ITEMS) == []


def changed(of: str, **fields: object) -> list[Item]:
    first = next(item for item in ITEMS if item.kind == of)
    return [replace(first, **fields)]


@pytest.mark.parametrize(
    ("items", "fault"),
    [
        (changed("qa", prompt="\u1780\u17b6\u17d2\u179a?"), "normalizer"),
        (changed("qa", prompt="ក\u17d2 ?"), "no Khmer word"),
        (changed("qa", prompt="ភ្នំពេញជាអ្វី?"), "answer stands in the prompt"),
        (changed("qa", references=()), "a reference is missing"),
        (changed("choice", gold=9), "a right choice"),
        (changed("choice", choices=("ក", "ក", "ខ")), "a right choice"),
        (changed("minimal_pair", bad=""), "a pair"),
        (changed("instruct", checks=("items~3",)), "unknown check"),
        (changed("qa", kind="riddle"), "unknown kind"),
        ([ITEMS[0], ITEMS[0]], "is used 2 times"),
        ([ITEMS[0], replace(ITEMS[0], id="other")], "the same prompt"),
        ([replace(i, gold=0, choices=("វែងជាងគេទាំងអស់", "ក", "ខ"), id=str(n), prompt=f"លេខ {n}") for n, i in
          enumerate([i for i in ITEMS if i.kind == "choice"][:10])], "the longest in 10 of 10"),
    ],
)  # fmt: skip
def test_the_review_finds_faults(items: list[Item], fault: str) -> None:
    assert any(fault in line for line in review(items)), review(items)


@pytest.mark.parametrize(
    ("lines", "message"), [("", "no items"), ("{}", "line 1"), ("nonsense", "line 1")]
)
def test_a_broken_suite_is_refused(lines: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_suite(lines)


def test_an_unknown_suite_is_named() -> None:
    with pytest.raises(ValueError, match="shipped: khmer-1"):
        load_suite("khmer-0")
