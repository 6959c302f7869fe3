"""A byte-level BPE tokenizer + how often its tokens occur -> the same tokenizer with fewer tokens.

    counts ──most frequent first, each with the tokens it is merged from──▶ kept tokens ──▶ vocabulary, merges, new ids

A text of which every token is kept is cut as before: how BPE makes a token follows from the bytes of that token
alone, and all steps on the way stay. Other text falls back to shorter tokens, to bytes at the last. Ids are given
anew without gaps, in the order they had.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import orjson
from tokenizers import Tokenizer

from tonsai_pipeline.tokenizer.alphabet import BYTE_CHARS, byte_level_state

_Ranks = Mapping[tuple[str, str], int]


def prune_tokenizer(tokenizer: Tokenizer, counts: Mapping[str, int], num_tokens: int) -> Tokenizer:
    """Keep the tokens of a byte-level BPE tokenizer that occur most.

    Args:
        tokenizer: The tokenizer; it is not changed.
        counts: How often each token occurs in text as it cuts it. Where they are equal, the lower id stays, which is
            the earlier merge.
        num_tokens: Tokens that stay, at most. Bytes, and special and other added tokens are among them.

    Returns:
        A new tokenizer, or the same one if it has no more tokens.

    Raises:
        ValueError: It is not byte-level BPE, or `num_tokens` is less than what must stay.
    """
    state = byte_level_state(tokenizer)
    known = tokenizer.get_vocab(with_added_tokens=True)
    if len(known) <= num_tokens:
        return tokenizer
    kept = _choose(state, known, counts, num_tokens)
    numbers = {token: n for n, token in enumerate(sorted(kept, key=known.__getitem__))}
    moved = {known[token]: number for token, number in numbers.items()}
    model = state["model"]
    # Added tokens too: those that the model does not know would go to the end.
    model["vocab"] = numbers
    model["merges"] = [
        pair
        for pair in model["merges"]
        if pair[0] in kept and pair[1] in kept and pair[0] + pair[1] in kept
    ]
    for token in state["added_tokens"]:
        token["id"] = moved[token["id"]]
    _renumber(state["post_processor"], moved)
    return Tokenizer.from_str(orjson.dumps(state).decode())


def _choose(
    state: Mapping[str, Any], known: Mapping[str, int], counts: Mapping[str, int], num_tokens: int
) -> set[str]:
    """Return the tokens that stay."""
    model = state["model"]
    ranks: dict[tuple[str, str], int] = {}
    for rank, (left, right) in enumerate(model["merges"]):
        ranks.setdefault((left, right), rank)
    always = {
        *BYTE_CHARS,
        model["unk_token"],
        *(token["content"] for token in state["added_tokens"]),
    }
    kept = always & known.keys()
    if len(kept) > num_tokens:
        raise ValueError(
            f"keep_base_tokens: {num_tokens}: bytes and special tokens alone are {len(kept)}; keep more"
        )
    for token in sorted(known, key=lambda token: (-counts.get(token, 0), known[token])):
        if token in kept:
            continue
        steps = _steps(token, ranks)
        # A token that no merges lead to is only found where words of the vocabulary are taken without merging.
        if token not in steps and not model["ignore_merges"]:
            continue
        needed = {token, *steps} - kept
        if len(kept) + len(needed) <= num_tokens:
            kept |= needed
        if len(kept) == num_tokens:
            break
    return kept


def _steps(token: str, ranks: _Ranks) -> list[str]:
    """Merge the bytes of a token as BPE does, and return what each merge made.

    Example:
        >>> _steps("abcd", {("c", "d"): 0, ("a", "b"): 1, ("b", "cd"): 2, ("ab", "cd"): 3})
        ['cd', 'ab', 'abcd']
    """
    parts = list(token)
    made: list[str] = []
    while len(parts) > 1:
        pairs = itertools.pairwise(parts)
        rank, place = min((ranks.get(pair, len(ranks)), place) for place, pair in enumerate(pairs))
        if rank == len(ranks):
            break
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
        made.append(parts[place])
    return made


def _renumber(post_processor: dict[str, Any] | None, moved: Mapping[int, int]) -> None:
    """Give the tokens that are put around a text their new ids; in place."""
    for step in (
        [] if post_processor is None else post_processor.get("processors", [post_processor])
    ):
        for token in step.get("special_tokens", {}).values():
            token["ids"] = [moved[number] for number in token["ids"]]
        for role in ("sep", "cls"):
            if role in step:
                step[role] = [step[role][0], moved[step[role][1]]]
