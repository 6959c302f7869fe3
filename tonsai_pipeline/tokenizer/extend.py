"""An existing byte-level BPE tokenizer + Khmer words -> the same tokenizer, with Khmer tokens after its own.

    words ──cut as it cuts them now──▶ strings of its tokens ──BPE goes on──▶ new merges, new ids at the end

Every old token keeps its id, and text without Khmer is cut as before (with `join_marks`, text without combining
marks): an old model reads it unchanged and has only
the new embeddings to learn. Training goes on where it ended: old merges rank before new ones, as if Khmer had
come last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson
import regex
from tokenizers import Tokenizer

from tonsai_pipeline.tokenizer.alphabet import byte_level_state, from_byte_chars, num_chars
from tonsai_pipeline.tokenizer.bpe import learn_merges
from tonsai_pipeline.tokenizer.pretokenize import (
    CLUSTERS,
    GPT2_PATTERN,
    QWEN2_PATTERN,
    WORD_PATTERN,
)

_FIRST_NAME = 0xF0000
_MAX_NAMES = 0xFFFD
#: Khmer letters, marks and joiners: what a Khmer word is made of.
_KHMER = r"\u1780-\u17D3\u17D7\u17DC\u17DD"
_KHMER_WORD = rf"[^\r\n\p{{L}}\p{{M}}\p{{N}}]?[{_KHMER}][{_KHMER}\u200C\u200D]*"
_KHMER_LETTER = regex.compile(f"[{_KHMER}]")
#: A letter class outside brackets, which would swallow Khmer letters and leave their marks behind.
_LETTERS = regex.compile(r"(?<!\[[^\]]*)\\p\{L\}")
#: Clusters are assembled with at most this share of the new tokens; the rest are learned on words.
_CLUSTER_FRAC = 0.25


def extend_tokenizer(
    tokenizer: Tokenizer,
    words: Mapping[str, int],
    num_tokens: int,
    *,
    max_token_chars: int = 24,
    join_marks: bool = False,
) -> Tokenizer:
    """Add Khmer tokens to a byte-level BPE tokenizer.

    Args:
        tokenizer: The tokenizer; it is not changed.
        words: How often each word of the sample occurs; those without Khmer are left aside.
        num_tokens: Tokens to add.
        max_token_chars: Longest new token, in code points.
        join_marks: Cut every text by `WORD_PATTERN`, which differs from Qwen2's only around combining marks; without
            it only Khmer is cut otherwise than before.

    Returns:
        A new tokenizer; it has fewer new tokens if too few pairs repeat.

    Raises:
        ValueError: It is not byte-level BPE, or cuts words in a way that cannot be mended here.
    """
    state = byte_level_state(tokenizer)
    state["pre_tokenizer"] = _keep_khmer_whole(state["pre_tokenizer"], join_marks)
    vocab = state["model"]["vocab"]
    # Added tokens keep their ids only if the model knows them; otherwise they would move behind the new ones.
    vocab.update({token["content"]: token["id"] for token in state["added_tokens"]})
    khmer = {word: count for word, count in words.items() if _KHMER_LETTER.search(word)}
    clusters: Counter[str] = Counter()
    for word, count in khmer.items():
        for cluster in CLUSTERS.findall(word):
            clusters[cluster] += count
    first = _grow(state, clusters, int(num_tokens * _CLUSTER_FRAC), max_token_chars)
    _grow(state, khmer, num_tokens - first, max_token_chars)
    return _load(state)


def _grow(
    state: dict[str, Any], words: Mapping[str, int], num_tokens: int, max_token_chars: int
) -> int:
    """Learn merges on words as the tokenizer cuts them now, add them, and return how many tokens came."""
    tokenizer = _load(state)
    names: dict[str, str] = {}
    texts: dict[str, str] = {}
    counted = []
    for word in sorted(words):
        tokens = tokenizer.encode(word, add_special_tokens=False).tokens
        for token in tokens:
            if token not in names and len(names) < _MAX_NAMES:
                names[token] = chr(_FIRST_NAME + len(names))
                texts[names[token]] = token
        if all(token in names for token in tokens):
            counted.append(("".join(names[token] for token in tokens), words[word]))
    vocab, merges = state["model"]["vocab"], state["model"]["merges"]
    next_id, added = max(vocab.values()) + 1, 0
    for left, right in learn_merges(counted, num_tokens * 2, max_symbols=max_token_chars):
        if added == num_tokens:
            break
        pair = ["".join(texts[name] for name in side) for side in (left, right)]
        if num_chars(from_byte_chars(pair[0] + pair[1])) > max_token_chars:
            continue
        merges.append(pair)
        if pair[0] + pair[1] not in vocab:
            vocab[pair[0] + pair[1]] = next_id + added
            added += 1
    return added


def _keep_khmer_whole(pre_tokenizer: dict[str, Any], join_marks: bool) -> dict[str, Any]:
    """Return a pre-tokenizer that takes a Khmer word whole and cuts everything else as before, or joins marks."""
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    changed = []
    found = False
    if join_marks and [step.get("pattern", {}).get("Regex") for step in steps] != [
        QWEN2_PATTERN,
        None,
    ]:
        raise ValueError(
            "extend_words: qwen35 is for tokenizers that cut words as Qwen2 and Qwen3 do"
        )
    for step in steps:
        if step["type"] == "Split" and "Regex" in step["pattern"]:
            pattern = WORD_PATTERN if join_marks else _with_khmer(step["pattern"]["Regex"])
            changed.append(step | {"pattern": {"Regex": pattern}})
            found = True
        elif step["type"] == "ByteLevel" and step.get("use_regex", True):
            pattern = {"Regex": _with_khmer(GPT2_PATTERN)}
            changed.append(
                {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
            )
            changed.append(step | {"use_regex": False})
            found = True
        else:
            changed.append(step)
    if not found:
        raise ValueError("the tokenizer cuts words by no pattern that could be told about Khmer")
    return {"type": "Sequence", "pretokenizers": changed}


def _with_khmer(pattern: str) -> str:
    others = rf"[\p{{L}}&&[^{_KHMER}]]"
    return f"{_KHMER_WORD}|{_LETTERS.sub(lambda _: others, pattern)}"


def _load(state: Mapping[str, Any]) -> Tokenizer:
    return Tokenizer.from_str(orjson.dumps(state).decode())
