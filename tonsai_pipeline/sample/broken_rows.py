"""a dice and a sort of damage -> one line of JSONL that is no document."""

from __future__ import annotations

import json
from random import Random

from tonsai_pipeline.sample.grammar import english_document

#: Sorts of damage, all seen in crawled JSONL.
BROKEN_JSON: tuple[str, ...] = (
    "cut_off",
    "not_json",
    "no_text_field",
    "text_null",
    "text_not_a_string",
    "not_an_object",
    "invalid_utf8",
    "lone_surrogate",
)


def broken_json(rng: Random, sort: str, row_id: str) -> bytes:
    """Write one broken line, without its newline.

    Args:
        rng: Writes the words around the damage.
        sort: One of `BROKEN_JSON`.
        row_id: Goes into the `id` field where there is one left.

    Raises:
        ValueError: The sort is unknown.
    """
    text = english_document(rng, num_paragraphs=1)
    whole = json.dumps({"id": row_id, "text": text}).encode()
    match sort:
        case "cut_off":
            return whole[: rng.randrange(len(whole) // 2, len(whole) - 2)]
        case "not_json":
            return f"<html><body>{text}</body></html>".encode()
        case "no_text_field":
            return json.dumps({"id": row_id, "body": text}).encode()
        case "text_null":
            return json.dumps({"id": row_id, "text": None}).encode()
        case "text_not_a_string":
            return json.dumps({"id": row_id, "text": rng.randrange(10**6)}).encode()
        case "not_an_object":
            return json.dumps([row_id, text]).encode()
        case "invalid_utf8":
            place = rng.randrange(len(whole) // 2, len(whole) - 4)
            return whole[:place] + b"\xc3\x28" + whole[place:]
        case "lone_surrogate":
            return whole[:-2] + b'\\ud800"}'
    raise ValueError(f"unknown sort of broken row {sort!r}; there are {', '.join(BROKEN_JSON)}")
