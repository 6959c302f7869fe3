"""The parsed content of tokenizer.json -> the `tokenizers.Tokenizer` that its own reader makes of it, in half the time.

    model ──models.BPE──▶ words, merges ─┐
    the rest ──from_str──────────────────┴─▶ Tokenizer

The reader of tokenizers 0.23 tries what a model may be one after the other, and copies 50k merges each time.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import orjson
from tokenizers import AddedToken, Tokenizer, models

_STEPS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_ADDED = ("single_word", "lstrip", "rstrip", "normalized", "special")
_NO_MODEL = {"type": "BPE", "vocab": {}, "merges": []}


@contextmanager
def collector_paused() -> Generator[None]:
    """Hold back the garbage collector while many objects are made that stay.

    The 100,000 of a tokenizer.json make it look through all that the process has loaded, a tenth of a second.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def open_tokenizer(state: Mapping[str, Any]) -> Tokenizer:
    """Open a tokenizer, the quick way if it is a BPE model as tokenizers writes them today.

    Args:
        state: The parsed content of tokenizer.json.

    Raises:
        Exception: tokenizers cannot read it.
    """
    model = dict(state["model"])
    merges: list[Any] = model.pop("merges", [])
    is_bpe = model.pop("type", None) == "BPE" and bool(merges) and isinstance(merges[0], list)
    if not is_bpe or state.get("truncation") or state.get("padding"):
        return Tokenizer.from_str(orjson.dumps(state).decode())
    pairs: Any = list(map(tuple, merges))
    options = {name: value for name, value in model.items() if value is not None}
    tokenizer = Tokenizer(models.BPE(merges=pairs, **options))
    rest = dict(state) | {"model": _NO_MODEL, "added_tokens": []}
    opened = Tokenizer.from_str(orjson.dumps(rest).decode())
    for step in _STEPS:
        if (value := getattr(opened, step)) is not None:
            setattr(tokenizer, step, value)
    # After the normalizer, through which some of them are looked for.
    for is_special, tokens in groupby(state["added_tokens"], lambda token: token["special"]):
        add = tokenizer.add_special_tokens if is_special else tokenizer.add_tokens
        add([AddedToken(one["content"], **{name: one[name] for name in _ADDED}) for one in tokens])
    return tokenizer
