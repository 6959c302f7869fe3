"""The fast encoder gives the ids of `tokenizers` for every text, or is not used."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, processors

from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.text.utf8 import Utf8Batch, arrow_of_batch, batch_of_arrow
from tonsai_pipeline.tokenizer.assemble import (
    BOS,
    EOS,
    PAD,
    build_tokenizer,
    describe,
    probe_texts,
    special_tokens,
)
from tonsai_pipeline.tokenizer.bpe import BpeOptions, train_bpe
from tonsai_pipeline.tokenizer.encode import Encoder, WrongIdsError, holds_unassigned
from tonsai_pipeline.tokenizer.extend import extend_tokenizer
from tonsai_pipeline.tokenizer.fast_encoders import FAST_ENCODERS
from tonsai_pipeline.tokenizer.plain_text import plain_texts
from tonsai_pipeline.tokenizer.pretokenize import QWEN2_PATTERN, split_words
from tonsai_pipeline.tokenizer.quick_open import open_tokenizer
from tonsai_pipeline_tests.stages.mixtures import english_texts, khmer_texts

TEXTS = khmer_texts(40, seed=1) + english_texts(40, seed=2)
#: Each one is changed by the normalizer, or by none but ours, or is newer than some Unicode table.
HARD = [
    *probe_texts(),
    "<|bos|><|eos|> text <|im_end|>",
    "ក\u17d2ដ ក្\u178d \u17d2\u178d",
    "ក\u200bខ a\u200bb \u200b\u200bគ",
    "\ufeffa\ufeff",
    "e\u0301 \u1100\u1161 ក\u17c1\u17b8",
    "\u1ad3 \U000323d3ក a\U00016ed3b",
    "\x00\x7f\u0085\u2028\u3000",
]


NO_NULLS = pa.array([], pa.large_string())


def build(*, special: bool = True) -> Tokenizer:
    words = Counter(word for text in TEXTS for word in split_words(text))
    specials = special_tokens(3)
    model = train_bpe(words, BpeOptions(vocab_size=1400), special_tokens=specials)
    tokenizer = build_tokenizer(model, specials, NormalizeOptions())
    if not special:
        tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    return tokenizer


def encoder_of(tokenizer: Tokenizer, **options: Any) -> Encoder:
    info = describe(tokenizer, bos=BOS, eos=EOS, pad=PAD)
    return Encoder(tokenizer.to_str().encode(), info, np.uint16, **options)


def encode(encoder: Encoder, texts: list[str]) -> list[list[int]]:
    ids, sizes = encoder.encode(pa.array(texts, pa.large_string()))
    assert ids.dtype == np.uint16
    return [piece.tolist() for piece in np.split(ids, np.cumsum(sizes)[:-1])]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return build()


@pytest.fixture(scope="module")
def fast(tokenizer: Tokenizer) -> Encoder:
    encoder = encoder_of(tokenizer)
    assert encoder.is_fast
    return encoder


def expected(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.encode_special_tokens = True
    return [
        [0, *encoding.ids, 1] for encoding in plain.encode_batch(texts, add_special_tokens=False)
    ]


@pytest.mark.parametrize("parallel", [False, True])
def test_every_text_has_the_ids_of_tokenizers(tokenizer: Tokenizer, parallel: bool) -> None:
    encoder = encoder_of(tokenizer, parallel=parallel)
    texts = [*TEXTS, *HARD, *map(str.upper, TEXTS), *(text[::-1] for text in TEXTS)]
    assert encode(encoder, texts) == expected(tokenizer, texts)
    for text in HARD:
        assert encode(encoder, [text]) == expected(tokenizer, [text])


def test_the_slow_one_gives_the_same(tokenizer: Tokenizer) -> None:
    encoder = encoder_of(tokenizer, fast=False)
    assert not encoder.is_fast
    assert encode(encoder, HARD) == expected(tokenizer, HARD)


def test_the_quick_way_to_open_a_tokenizer_gives_the_same_tokenizer(tokenizer: Tokenizer) -> None:
    odd = build(special=False)
    odd.post_processor = processors.ByteLevel(trim_offsets=False)
    odd.add_special_tokens([AddedToken("<last>", special=True, lstrip=True)])
    cut = build()
    cut.enable_truncation(7)
    others = [Tokenizer(models.Unigram([("a", -1.0)], 0)), Tokenizer(models.BPE())]
    chars = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], byte_fallback=True))
    for one in (tokenizer, odd, cut, chars, *others):
        assert open_tokenizer(json.loads(one.to_str())).to_str() == one.to_str()


def test_no_texts_are_no_ids(fast: Encoder) -> None:
    ids, sizes = fast.encode(pa.array([], pa.large_string()))
    assert (len(ids), len(sizes)) == (0, 0)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.text(
            st.one_of(
                st.sampled_from("កខដ\u17d2\u17b6\u17c6\u200b\u200c\u200d\ufeff \t\r\n'sST1១.(<|>a"),
                st.characters(exclude_categories=["Cs"]),
            )
        ),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_the_text_the_ids_are_those_of_tokenizers(
    tokenizer: Tokenizer, fast: Encoder, texts: list[str]
) -> None:
    assert encode(fast, texts) == expected(tokenizer, texts)


def test_a_token_that_is_not_special_stays_a_token() -> None:
    tokenizer = build(special=False)
    texts = ["a <tool> b", "plain", "<tool>", *TEXTS[:5]]
    encoder = encoder_of(tokenizer)
    assert encoder.is_fast
    assert encode(encoder, texts) == expected(tokenizer, texts)


def test_a_normalizer_that_is_not_ours_is_left_to_tokenizers() -> None:
    tokenizer = build()
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    encoder = encoder_of(tokenizer)
    assert not encoder.is_fast
    assert encode(encoder, ["ABC"]) == expected(tokenizer, ["ABC"])


def test_words_that_gigatoken_does_not_know_are_cut_by_fastokens() -> None:
    state = json.loads(build().to_str())
    state["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = QWEN2_PATTERN
    qwen = Tokenizer.from_str(json.dumps(state))
    words = Counter(word for text in TEXTS for word in split_words(text))
    tokenizer = extend_tokenizer(qwen, words, 200)
    encoder = encoder_of(tokenizer)
    assert (encoder.is_fast, encoder._name) == (True, "fastokens")
    texts = [*TEXTS, *HARD]
    assert encode(encoder, texts) == expected(tokenizer, texts)


def test_where_neither_cuts_right_tokenizers_does(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_wrong(tokenizer_json: bytes, *, parallel: bool) -> Any:
        return lambda texts: (np.zeros(len(texts.offsets) - 1), np.ones(len(texts.offsets) - 1))

    for name in FAST_ENCODERS:
        monkeypatch.setitem(FAST_ENCODERS, name, open_wrong)
    encoder = encoder_of(tokenizer)
    assert not encoder.is_fast
    assert encode(encoder, HARD) == expected(tokenizer, HARD)


def test_wrong_ids_are_noticed_in_the_batch_that_has_them(tokenizer: Tokenizer) -> None:
    encoder = encoder_of(tokenizer)
    other = encoder_of(tokenizer)
    encode(encoder, TEXTS)
    right = other._fast

    def less(texts: Utf8Batch) -> Any:
        said = [text[:-1] for text in arrow_of_batch(texts, NO_NULLS).to_pylist()]
        return right(batch_of_arrow(pa.array(said, pa.large_string())))

    encoder._fast = less
    encoder._bytes_to_compare = 0
    with pytest.raises(WrongIdsError, match="gigatoken cuts"):
        encode(encoder, TEXTS)


def test_newer_characters_are_left_to_tokenizers(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(tokenizer)
    nothing = (np.zeros(4, np.uint32), np.array([2, 2]))
    monkeypatch.setattr(encoder, "_fast", lambda texts: nothing)
    assert encode(encoder, ["a \u1ad3", "\U000323d3"]) == expected(
        tokenizer, ["a \u1ad3", "\U000323d3"]
    )


def test_it_is_opened_anew_before_it_keeps_too_much(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(tokenizer)
    monkeypatch.setattr("tonsai_pipeline.tokenizer.encode._REOPEN_EVERY_BYTES", 5_000)
    opened = {id(encoder._fast): encoder._fast}
    for _ in range(3):
        assert encode(encoder, TEXTS) == expected(tokenizer, TEXTS)
        opened[id(encoder._fast)] = encoder._fast
    assert len(opened) == 4


def test_long_texts_are_compared_less_often(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(tokenizer)
    compared: list[int] = []
    plain = encoder._encode_plain
    monkeypatch.setattr(
        encoder, "_encode_plain", lambda texts: (compared.append(len(texts)), plain(texts))[1]
    )
    for text in ["long " * 2_000, *["short " * 20_000] * 90]:
        encode(encoder, [text])
    # 10 kB stand for 10 MB, of which the texts of 120 kB are 86.
    assert len(compared) == 2


def test_what_is_plain_stays_as_it_is(tokenizer: Tokenizer) -> None:
    chars = [chr(code_point) for code_point in range(0x3000)]
    texts = [f"{before}{char}{after}" for char in chars for before, after in _AROUND]
    plain = plain_texts(batch_of_arrow(pa.array(texts, pa.large_string()))).tolist()
    told = list(itertools.compress(texts, plain))
    known = set(told)
    assert [tokenizer.normalizer.normalize_str(text) for text in told] == told
    assert not any(map(holds_unassigned, told))
    # All of Khmer but for the mark that has an order, and letters and signs of English.
    khmer = {chr(c) for c in range(0x1780, 0x17F0) if unicodedata.category(chr(c)) != "Cn"}
    alone = {char for char in chars if char in known}
    assert khmer - alone == {"\u17dd"}
    assert {"a", "\xe9", "\u2019", "\u20ac", "\u200c", "\n"} <= alone


_AROUND = [("", ""), ("\u1780\u17d2", "\u17b6"), ("e", "\u17d2\u1780"), ("\u1100", "\u0430")]


def test_newer_characters_are_those_that_python_does_not_know() -> None:
    assert all(map(holds_unassigned, ["\u1ad3", "a\U0001fbff", "\u1780 \u0378\n", "\U000a0000"]))
    assert not any(map(holds_unassigned, [*TEXTS, "\ue000\u200d\x85"]))
