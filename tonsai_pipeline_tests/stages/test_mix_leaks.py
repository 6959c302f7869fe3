"""The proof that the splits are disjoint: silent on a clean corpus, and it finds what was planted."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.recipe.dedup import DedupConfig, SignatureConfig
from tonsai_pipeline.recipe.mixture import MixtureConfig, ValidationSplit
from tonsai_pipeline.stages.compare_splits.stage import LeakReport, find_leaks
from tonsai_pipeline.stages.sign.stage import STAGE_VERSION as SIGN_VERSION
from tonsai_pipeline.stages.sign.stage import sign
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose
from tonsai_pipeline_tests.stages.scored import Corpus, build_corpus
from tonsai_pipeline_tests.stages.test_mix import mixed

#: A third of the documents is held out, so that a copy of a document is often on the other side.
_SPLIT = ValidationSplit(frac=0.33, min_documents=1, max_documents=1000)
_CONFIG = MixtureConfig(languages={"khm": 0.5, "eng": 0.5}, validation=_SPLIT)


def signed(corpus: Corpus, store: Store, engine: Engine) -> dict[str, Artifact]:
    return {
        dump: store.materialize(
            "minhash_signatures",
            dump,
            lambda folder, found=found: sign(
                found, folder, config=SignatureConfig(), engine=engine
            ),
            stage_version=SIGN_VERSION,
            settings={},
            inputs={"normalized_documents": found.data_version},
        )
        for dump, found in corpus.normalized.items()
    }


def leaks(texts: Mapping[str, list[str]], store: Store, engine: Engine) -> LeakReport:
    """Mix documents from which deduplication has taken nothing, and look for leaks."""
    corpus = build_corpus(store, texts, every_nth_dropped=0)
    mixture = mixed(corpus, store, engine, _CONFIG)
    signatures = signed(corpus, store, engine)
    folder = store.layout.root / "leaks"
    return find_leaks(
        mixture,
        corpus.normalized,
        signatures,
        folder,
        config=DedupConfig(),
        engine=engine,
        store=store,
    )


def pages(num_docs: int) -> dict[str, list[str]]:
    return {
        "khm_a@20240101": [khmer_prose(12, seed) for seed in range(num_docs)],
        "eng_a@20240101": [english_prose(24, seed) for seed in range(num_docs)],
    }


def test_a_corpus_without_duplicates_has_no_leak_and_both_sides_were_looked_at(
    store: Store, engine: Engine
) -> None:
    found = leaks(pages(60), store, engine)
    assert found.num_train + found.num_validation == 120
    assert found.num_validation >= 20
    assert (found.num_shared_ids, found.num_copies, found.num_near_copies) == (0, 0, 0)
    assert found.examples == []


@pytest.mark.parametrize("language", ["khm", "eng"])
def test_copies_on_the_other_side_are_found(language: str, store: Store, engine: Engine) -> None:
    texts = pages(40)
    texts[f"{language}_b@20240201"] = texts[f"{language}_a@20240101"]
    found = leaks(texts, store, engine)
    # Twins fall on different sides with a chance of 2 x 1/3 x 2/3.
    assert 8 <= found.num_copies <= 28
    assert found.num_near_copies == found.num_copies
    assert found.num_shared_ids == 0
    assert all(pair["similarity"] == 1.0 for pair in found.examples)
    assert all(pair["train"] != pair["validation"] for pair in found.examples)


def test_near_copies_on_the_other_side_are_found_and_measured(store: Store, engine: Engine) -> None:
    texts = pages(40)
    texts["eng_b@20240201"] = [
        text + " The end of this page is new." for text in texts["eng_a@20240101"]
    ]
    found = leaks(texts, store, engine)
    assert found.num_copies == 0
    assert 8 <= found.num_near_copies <= 28
    assert all(0.8 <= pair["similarity"] < 1.0 for pair in found.examples)


def test_pages_on_the_same_matter_are_no_copies(store: Store, engine: Engine) -> None:
    texts = pages(40)
    texts["eng_b@20240201"] = [
        text.split("\n")[0] + "\n" + english_prose(20, 900 + number)
        for number, text in enumerate(texts["eng_a@20240101"])
    ]
    assert leaks(texts, store, engine).num_near_copies == 0
