"""The proof that the splits are disjoint: silent on a clean corpus, and it finds what was planted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.recipe.mixture import MixtureConfig, ValidationSplit
from tonsai_pipeline.stages.mix import stage
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose
from tonsai_pipeline_tests.stages.scored import Corpus
from tonsai_pipeline_tests.stages.test_mix import mixed

#: A third of the documents is held out, so that a copy of a document is often on the other side.
_SPLIT = ValidationSplit(frac=0.33)
_CONFIG = MixtureConfig(languages={"khm": 0.5, "eng": 0.5}, validation=_SPLIT)


def leaks(texts: Mapping[str, list[str]], store: Store, engine: Engine) -> Mapping[str, Any]:
    """Mix documents from which deduplication has taken nothing, and look for leaks."""
    corpus = Corpus(texts, every_nth_dropped=0)
    return mixed(corpus, store, engine, _CONFIG).builder.build("split_comparison").report


def pages(num_docs: int) -> dict[str, list[str]]:
    return {
        "khm_a@20240101": [khmer_prose(12, seed) for seed in range(num_docs)],
        "eng_a@20240101": [english_prose(24, seed) for seed in range(num_docs)],
    }


def test_a_corpus_without_duplicates_has_no_leak_and_both_sides_were_looked_at(
    store: Store, engine: Engine
) -> None:
    found = leaks(pages(60), store, engine)
    assert found["num_train"] + found["num_validation"] == 120
    assert found["num_validation"] >= 20
    assert (found["num_shared_ids"], found["num_copies"], found["num_near_copies"]) == (0, 0, 0)
    assert found["examples"] == []


@pytest.mark.parametrize("language", ["khm", "eng"])
def test_copies_are_on_the_same_side_and_would_be_found_on_the_other(
    language: str, store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = pages(40)
    texts[f"{language}_b@20240201"] = texts[f"{language}_a@20240101"]
    assert leaks(texts, store, engine)["num_copies"] == 0
    luck = np.random.default_rng(5)
    monkeypatch.setattr(stage, "held_out", lambda keys, **_: luck.random(len(keys)) < 0.33)
    found = leaks(texts, Store(Layout(store.layout.root / "other", "test")), engine)
    # Copies fall on different sides with a chance of 2 x 1/3 x 2/3.
    assert 8 <= found["num_copies"] <= 28
    assert found["num_near_copies"] == found["num_copies"]
    assert found["num_shared_ids"] == 0
    assert all(pair["similarity"] == 1.0 for pair in found["examples"])
    assert all(pair["train"] != pair["validation"] for pair in found["examples"])


def test_near_copies_on_the_other_side_are_found_and_measured(store: Store, engine: Engine) -> None:
    texts = pages(40)
    texts["eng_b@20240201"] = [
        text + " The end of this page is new." for text in texts["eng_a@20240101"]
    ]
    found = leaks(texts, store, engine)
    assert found["num_copies"] == 0
    assert 8 <= found["num_near_copies"] <= 28
    assert all(0.8 <= pair["similarity"] < 1.0 for pair in found["examples"])


def test_pages_on_the_same_matter_are_no_copies(store: Store, engine: Engine) -> None:
    texts = pages(40)
    texts["eng_b@20240201"] = [
        text.split("\n")[0] + "\n" + english_prose(20, 900 + number)
        for number, text in enumerate(texts["eng_a@20240101"])
    ]
    assert leaks(texts, store, engine)["num_near_copies"] == 0
