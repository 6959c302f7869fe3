"""The tokenizer stage: a folder that opens everywhere, the same bytes twice, a sample that follows the shares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.recipe.tokenizer import ParallelConfig, SampleConfig, TokenizerConfig
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.crash import assert_survives_kills
from tonsai_pipeline_tests.stages.mixtures import (
    Mixture,
    build_mixture,
    english_texts,
    khmer_texts,
)
from tonsai_pipeline_tests.stages.trained_tokenizers import (
    CONFIG,
    tokenizer_mixture,
    train,
)


@pytest.fixture
def mixture() -> Mixture:
    return tokenizer_mixture()


def test_the_same_mixture_gives_the_same_bytes_whatever_the_number_of_workers(
    store: Store, mixture: Mixture, engine: Engine, two_workers: Engine
) -> None:
    first = train(store, mixture, engine)
    second = train(store, mixture, two_workers)
    assert first.manifest.files == second.manifest.files
    assert first.report == second.report


def test_the_folder_opens_with_auto_tokenizer(
    store: Store, mixture: Mixture, engine: Engine
) -> None:
    from transformers import AutoTokenizer

    artifact = train(store, mixture, engine)
    tokenizer = AutoTokenizer.from_pretrained(artifact.path)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        "<|bos|>",
        "<|eos|>",
        "<|pad|>",
    )
    assert [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id] == [0, 1, 2]
    text = khmer_texts(1, seed=9)[0]
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.bos_token_id not in ids
    assert tokenizer.decode(ids) == text
    chat = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "cd"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False) == (
        "<|bos|><|im_start|>user\nab<|im_end|>\n<|im_start|>assistant\ncd<|im_end|>\n"
    )
    asked = tokenizer.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True)
    assert asked.endswith("<|im_start|>assistant\n")
    marked = tokenizer.apply_chat_template(
        chat, return_dict=True, return_assistant_tokens_mask=True
    )
    reply = [i for i, m in zip(marked["input_ids"], marked["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(reply) == "cd<|im_end|>"


def test_the_report_compares_with_gpt2_on_held_out_text(
    store: Store, mixture: Mixture, engine: Engine
) -> None:
    report = train(store, mixture, engine).report
    assert set(report["fertility"]) == {"khm", "eng"}
    khmer, plain = report["fertility"]["khm"], report["gpt2_fertility"]["khm"]
    assert khmer["num_bytes"] == plain["num_bytes"] > 0
    assert khmer["num_changed"] == 0
    assert report["khmer_tokens_saved"] == plain["num_tokens"] / khmer["num_tokens"] > 1.5
    assert khmer["inside_cluster_frac"] < plain["inside_cluster_frac"] / 3
    assert report["vocab_size"] == CONFIG.vocab_size
    assert report["padded_vocab_size"] == 1408
    assert all(len(token) <= CONFIG.max_token_chars for token in report["longest_khmer"])
    assert report["frequent_khmer"][0][1] >= report["frequent_khmer"][-1][1] > 0


def test_parallel_sources_give_the_parity_of_khmer_and_english(
    store: Store, engine: Engine
) -> None:
    eng = ["one two three", "four", "five six", "seven"]
    texts = {
        "khm_news@20260101": khmer_texts(120, seed=1),
        "khm_pairs@20260101": ["ខុស"],  # an older dump is not read
        "khm_pairs@20260201": khmer_texts(3, seed=9),  # its fourth record was rejected
        "eng_pairs@20260101": eng,
    }
    shares = {"khm_news": 1.0, "khm_pairs": 0.0, "eng_pairs": 0.0}
    made = build_mixture(texts, shares=shares)
    pair = ParallelConfig(khm="khm_pairs", eng="eng_pairs")
    config = CONFIG.model_copy(update={"parallel": pair})
    khmer_alone = {"languages": {"khm": 1.0}}
    artifact = train(store, made, engine, config, mixture=khmer_alone)
    tokenizer = Tokenizer.from_file(str(artifact.path / "tokenizer.json"))

    def count(said: list[str]) -> int:
        return sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in said)

    khm_tokens, eng_tokens = count(texts["khm_pairs@20260201"]), count(eng[:3])
    assert artifact.report["parity"] == {
        "num_pairs": 3,
        "khm_tokens": khm_tokens,
        "eng_tokens": eng_tokens,
        "ratio": khm_tokens / eng_tokens,
    }
    assert artifact.report["gpt2_parity"]["khm_tokens"] > khm_tokens


def test_a_parallel_source_without_a_dump_is_refused(
    store: Store, mixture: Mixture, engine: Engine
) -> None:
    pair = ParallelConfig(khm="khm_news", eng="eng_missing")
    config = CONFIG.model_copy(update={"parallel": pair})
    sources = [{"name": name, "lang": name[:3]} for name in ("khm_news", "khm_wiki", "eng_news")]
    with pytest.raises(RecipeError, match="source 'eng_missing' has no dump"):
        train(store, mixture, engine, config, sources=sources)


def test_held_out_and_dropped_documents_are_not_counted(store: Store, engine: Engine) -> None:
    texts = [f"{'x' * 30} {'ab' * 10}"] * 39 + ["secretsecret " * 500]
    mixture = build_mixture(
        {"eng_a@20260101": texts, "khm_b@20260101": khmer_texts(40, seed=1)},
        every_nth_dropped=40,  # the last one
    )
    artifact = train(store, mixture, engine, CONFIG.model_copy(update={"vocab_size": 700}))
    vocab = Tokenizer.from_file(str(artifact.path / "tokenizer.json")).get_vocab()
    assert not [token for token in vocab if "secr" in token]


def test_a_scarce_source_is_repeated_and_a_large_one_sampled(store: Store, engine: Engine) -> None:
    texts = {
        "khm_small@20260101": khmer_texts(20, seed=1),
        "eng_large@20260101": english_texts(200, seed=3),
    }
    mixture = build_mixture(texts, shares={"khm_small": 0.5, "eng_large": 0.5})
    sample = train(store, mixture, engine).report["sample"]
    assert sample["khm_small"]["frac"] == 1.0
    assert sample["khm_small"]["repeats"] == 4.0
    assert sample["eng_large"]["frac"] < 0.7


def test_a_smaller_sample_is_part_of_a_larger_one(store: Store, engine: Engine) -> None:
    mixture = build_mixture({"khm_a@20260101": khmer_texts(200, seed=1)})
    whole = train(store, mixture, engine).report
    half = CONFIG.model_copy(update={"sample": SampleConfig(max_content_bytes=15_000)})
    less = train(store, mixture, engine, half).report
    assert less["sample"]["khm_a"]["frac"] < 1.0
    assert 0 < less["num_words"] < whole["num_words"]


def test_a_mixture_without_text_is_refused(store: Store, engine: Engine) -> None:
    mixture = build_mixture({"khm_a@20260101": []})
    with pytest.raises(DataError, match="no source has both a share of the mixture and text"):
        train(store, mixture, engine)


def test_a_vocabulary_too_small_for_the_clusters_is_refused(
    store: Store, mixture: Mixture, engine: Engine
) -> None:
    small = CONFIG.model_copy(update={"vocab_size": 512, "num_reserved_tokens": 200})
    with pytest.raises(RecipeError, match="vocab_size 512 is less than the"):
        train(store, mixture, engine, small)


def test_the_normalizer_options_lie_beside_the_tokenizer(
    store: Store, mixture: Mixture, engine: Engine
) -> None:
    artifact = train(store, mixture, engine)
    options = json.loads((artifact.path / "normalizer_config.json").read_text())
    assert options["coeng_da"] == "fold"
    about = json.loads((artifact.path / "tonsai_tokenizer.json").read_text())
    assert about["digest"] == artifact.report["digest"]
    assert (Path(artifact.path) / ".words").exists() is False


def run_tokenizer(store: Store, num_workers: str) -> Artifact:
    """What the killed process does, again and again: nothing is forced."""
    texts = {
        "khm_news@20260101": khmer_texts(60, seed=1),
        "eng_news@20260101": english_texts(60, 3),
    }
    mixture = build_mixture(texts)
    config = TokenizerConfig(vocab_size=900, num_reserved_tokens=3)
    engine = LocalEngine(int(num_workers))
    try:
        return train(store, mixture, engine, config, force=False)
    finally:
        engine.close()


@pytest.mark.slow
def test_a_training_killed_at_any_file_it_writes_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    assert_survives_kills(
        "tonsai_pipeline_tests.stages.test_train_tokenizer:run_tokenizer",
        ["1"],
        tmp_path,
        kills=[12, 1, 2, 3, 4],
        at_least=6,
    )
