"""a random generator and a sort of damage -> one line of JSONL that is no document."""

from __future__ import annotations

import json
from random import Random

from tonsai_pipeline.synthetic.grammar import document

#: Sorts of damage, all seen in crawled JSONL.
BROKEN_JSON: tuple[str, ...] = (
    "cut_off",
    "not_json",
    "no_text_field",
    "text_null",
    "text_not_string",
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
    if sort not in BROKEN_JSON:
        raise ValueError(f"unknown sort of broken row {sort!r}; there are {', '.join(BROKEN_JSON)}")
    text = document(rng, "eng", num_paragraphs=1)
    whole = json.dumps({"id": row_id, "text": text}).encode()
    place = rng.randrange(len(whole) // 2, len(whole) - 4)
    lines = {
        "cut_off": whole[:place],
        "not_json": f"<html><body>{text}</body></html>".encode(),
        "no_text_field": json.dumps({"id": row_id, "body": text}).encode(),
        "text_null": json.dumps({"id": row_id, "text": None}).encode(),
        "text_not_string": json.dumps({"id": row_id, "text": rng.randrange(10**6)}).encode(),
        "not_an_object": json.dumps([row_id, text]).encode(),
        "invalid_utf8": whole[:place] + b"\xc3\x28" + whole[place:],
        "lone_surrogate": whole[:-2] + b'\\ud800"}',
    }
    return lines[sort]
