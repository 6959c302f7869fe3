"""A pruned tokenizer cuts text of kept tokens as before, loses no other text, and stands on the tokens that occur most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    normalizers,
    pre_tokenizers,
    processors,
)

from tonsai_pipeline.tokenizer.baseline import train_gpt2
from tonsai_pipeline.tokenizer.extend import extend_tokenizer
from tonsai_pipeline.tokenizer.pretokenize import QWEN2_PATTERN, split_words, split_words_gpt2
from tonsai_pipeline.tokenizer.prune import prune_tokenizer
from tonsai_pipeline_tests.stages.mixtures import english_texts, khmer_texts

NUM_TOKENS, NUM_KEPT = 900, 560
LEARNED = english_texts(200, seed=2) + khmer_texts(30, seed=3)
#: Some of it is not what the tokenizer learned from: not every token of it occurs.
CORPUS = english_texts(60, seed=7) + khmer_texts(5, seed=8)
HELD_OUT = english_texts(60, seed=5) + khmer_texts(20, seed=6)
MARKERS = ["<|end|>", "<|turn|>"]


def gpt2() -> Tokenizer:
    counts = Counter(word for text in LEARNED for word in split_words_gpt2(text))
    tokenizer = train_gpt2(counts, NUM_TOKENS)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(MARKERS)
    return tokenizer


def qwen() -> Tokenizer:
    """Normalized, cut by a pattern, with an added token that is text to people."""
    tokenizer = gpt2()
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    return tokenizer


def llama() -> Tokenizer:
    """Every way to put a token together is a merge, words of the vocabulary are taken whole, BOS comes first."""
    tokenizer = qwen()
    bos = MARKERS[0]
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
            ),
        ]
    )
    state: dict[str, Any] = orjson.loads(tokenizer.to_str())
    vocab = state["model"]["vocab"]
    state["model"]["ignore_merges"] = True
    state["model"]["merges"] = [
        [token[:place], token[place:]]
        for token in sorted(vocab, key=vocab.__getitem__)
        for place in range(1, len(token))
        if token[:place] in vocab and token[place:] in vocab
    ]
    return Tokenizer.from_str(orjson.dumps(state).decode())


Shape = Callable[[], Tokenizer]
shapes = pytest.mark.parametrize("shape", [gpt2, qwen, llama])


@cache
def made(shape: Shape) -> tuple[Tokenizer, Tokenizer, Counter[str]]:
    """Return the tokenizer, the pruned one, and the counts that it was pruned by."""
    base = shape()
    counts = Counter(
        token for text in CORPUS for token in base.encode(text, add_special_tokens=False).tokens
    )
    return base, prune_tokenizer(base, counts, NUM_KEPT), counts


def cut(tokenizer: Tokenizer, text: str) -> list[str]:
    return tokenizer.encode(text, add_special_tokens=False).tokens


@shapes
def test_text_of_kept_tokens_is_cut_as_before_and_no_text_is_lost(shape: Shape) -> None:
    base, pruned, _ = made(shape)
    kept = pruned.get_vocab()
    assert len(kept) == NUM_KEPT
    seen = Counter[bool]()
    for text in CORPUS + HELD_OUT:
        for line in text.splitlines():
            for words in (line, *line.split()):
                before = cut(base, words)
                is_kept = all(token in kept for token in before)
                seen[is_kept] += 1
                assert not is_kept or cut(pruned, words) == before
                ids = pruned.encode(words, add_special_tokens=False).ids
                assert pruned.decode(ids) == base.decode(base.encode(words).ids)
    assert min(seen[True], seen[False]) > 100


@shapes
@settings(max_examples=50)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_comes_back(shape: Shape, text: str) -> None:
    base, pruned, _ = made(shape)
    expected = base.normalizer.normalize_str(text) if base.normalizer else text
    assert pruned.decode(pruned.encode(text).ids, skip_special_tokens=True) == expected


@shapes
def test_the_tokens_that_occur_most_stay_in_their_order(shape: Shape) -> None:
    base, pruned, counts = made(shape)
    old, new = base.get_vocab(), pruned.get_vocab()
    assert sorted(new.values()) == list(range(NUM_KEPT))
    order = sorted(new, key=new.__getitem__)
    assert order == sorted(new, key=old.__getitem__)
    assert {*pre_tokenizers.ByteLevel.alphabet(), *MARKERS} <= new.keys()
    most = [token for token, _ in counts.most_common(150)]
    assert new.keys() >= set(most)
    # What was dropped occurs no more often than what stayed for its own sake.
    dropped = [token for token in counts if token not in new]
    assert dropped
    assert max(counts[token] for token in dropped) <= counts[most[-1]]
    merges = orjson.loads(pruned.to_str())["model"]["merges"]
    assert all({left, right, left + right} <= new.keys() for left, right in merges)


@shapes
def test_markers_keep_their_meaning_under_new_ids(shape: Shape) -> None:
    base, pruned, _ = made(shape)
    for marker in MARKERS:
        assert pruned.get_vocab()[marker] < base.get_vocab()[marker]
        assert cut(pruned, f"a{marker}b") == ["a", marker, "b"]
    around = base.encode("the").tokens
    assert pruned.encode("the").tokens == around
    assert (around[0] == MARKERS[0]) == (shape is llama)
    added = {n: t.special for n, t in pruned.get_added_tokens_decoder().items()}
    assert list(added.values()) == [t.special for t in base.get_added_tokens_decoder().values()]


@shapes
def test_a_pruned_tokenizer_learns_khmer_as_any_other(shape: Shape) -> None:
    _, pruned, _ = made(shape)
    words = Counter(word for text in khmer_texts(60, seed=1) for word in split_words(text))
    longer = extend_tokenizer(pruned, words, 200)
    assert longer.get_vocab().items() >= pruned.get_vocab().items()
    assert longer.get_vocab_size() == NUM_KEPT + 200
    for text in english_texts(10, seed=5):
        assert longer.encode(text).ids == pruned.encode(text).ids
    text = khmer_texts(1, seed=6)[0]
    assert len(longer.encode(text).ids) < 0.7 * len(pruned.encode(text).ids)


def test_a_tokenizer_that_has_no_more_is_left_as_it_is() -> None:
    base, *_ = made(qwen)
    assert prune_tokenizer(base, {}, len(base.get_vocab())) is base


def test_fewer_than_the_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="bytes and special tokens alone are 258"):
        prune_tokenizer(made(gpt2)[0], {}, 257)
