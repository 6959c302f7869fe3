"""Licences: their order, and what a chosen one promises too much."""

from __future__ import annotations

from tonsai_pipeline.licenses import KNOWN, conflicts, is_unknown, rank, strictest


def test_the_strictest_licence_wins_and_what_is_unknown_is_strictest() -> None:
    assert strictest(["MIT", "CC-BY-NC-4.0", "CC-BY-SA-4.0"]) == "CC-BY-NC-4.0"
    assert strictest(["MIT", "something of mine", "CC-BY-NC-4.0"]) == "something of mine"
    assert strictest([]) is None
    assert rank("apache-2.0") < rank("cc-by-sa-3.0") < rank("llama3.1") < rank("cc-by-nd-4.0")


def test_identifiers_of_the_hub_have_a_class_but_for_those_that_say_nothing() -> None:
    assert {one for one in KNOWN if is_unknown(one)} == {"cc", "other"}


def test_only_what_allows_no_commerce_may_stand_over_what_allows_none() -> None:
    theirs = {"chat": "cc-by-nc-sa-4.0"}
    assert conflicts("apache-2.0", theirs)
    assert not conflicts("cc-by-nc-4.0", theirs)
    assert not conflicts("apache-2.0", {"code": "ncsa"})
