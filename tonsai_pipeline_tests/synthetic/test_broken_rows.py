"""Broken rows are broken in the way they say."""

from __future__ import annotations

import json
from random import Random

import pytest

from tonsai_pipeline.synthetic.broken_rows import BROKEN_JSON, broken_json


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("sort", BROKEN_JSON)
def test_no_broken_row_is_a_document(sort, seed):
    line = broken_json(Random(seed), sort, "x-1")
    assert b"\n" not in line
    assert line.strip()
    assert not _is_document(line)


def test_each_sort_is_broken_in_its_own_way():
    lines = {sort: broken_json(Random(1), sort, "x-1") for sort in BROKEN_JSON}
    for sort in ("cut_off", "not_json"):
        with pytest.raises(json.JSONDecodeError):
            json.loads(lines[sort])
    assert "text" not in json.loads(lines["no_text_field"])
    assert json.loads(lines["text_null"])["text"] is None
    assert isinstance(json.loads(lines["text_not_string"])["text"], int)
    assert isinstance(json.loads(lines["not_an_object"]), list)
    with pytest.raises(UnicodeDecodeError):
        lines["invalid_utf8"].decode()
    with pytest.raises(UnicodeEncodeError):
        json.loads(lines["lone_surrogate"])["text"].encode()


def test_an_unknown_sort_is_an_error():
    with pytest.raises(ValueError, match="unknown sort of broken row 'tired'"):
        broken_json(Random(0), "tired", "x")


def _is_document(line: bytes) -> bool:
    try:
        fields = json.loads(line)
        fields["text"].encode()
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    return True
