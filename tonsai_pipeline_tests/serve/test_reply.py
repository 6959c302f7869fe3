"""What is shown of a reply is whole, is never taken back, and adds up to the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tonsai_pipeline.model.opened import OpenModel
from tonsai_pipeline.serve.reply import Pieces, Reply, Sampling
from tonsai_pipeline.text import clusters
from tonsai_pipeline_tests.publish.conftest import write_tokenizer

TEXT = "ខ្ញុំចង់រៀន🇰🇭 n\u0303ow ស្រ្តី 👨\u200d👩\u200d👧 កុំ!\n"


@pytest.fixture(scope="module", params=["byte", "char"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    return AutoTokenizer.from_pretrained(str(write_tokenizer(folder / "t", request.param)))


def shown(tokenizer: Any, ids: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    pieces = Pieces(tokenizer, stop)
    found = []
    for token in ids:
        found.append(pieces.take(token))
        if pieces.stopped:
            return found
    return [*found, pieces.rest()]


def test_pieces_end_between_letters_and_add_up(tokenizer: Any) -> None:
    ids = tokenizer.encode(TEXT, add_special_tokens=False)
    found = shown(tokenizer, ids)
    text = tokenizer.decode(ids)
    assert "".join(found) == text
    ends = {int(end) for _, end in clusters(text)}
    inside = {n for start, end in clusters(text) for n in range(start + 1, end)}
    at = 0
    for piece in found[:-1]:
        at += len(piece)
        assert at not in inside
    assert len(ends) > 6
    assert sum(bool(piece) for piece in found) > 6


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1399), max_size=40))
def test_any_tokens_add_up_to_what_the_tokenizer_decodes(ids: list[int]) -> None:
    tokenizer = _byte_tokenizer()
    assert "".join(shown(tokenizer, ids)) == tokenizer.decode(ids, skip_special_tokens=True)


def _byte_tokenizer(found: list[Any] = []) -> Any:  # noqa: B006  # made once
    if not found:
        import tempfile

        folder = Path(tempfile.mkdtemp())
        found.append(AutoTokenizer.from_pretrained(str(write_tokenizer(folder / "t"))))
    return found[0]


@pytest.mark.parametrize(
    ("stop", "kept"),
    [
        (("now",), TEXT),
        (("n\u0303ow",), TEXT.partition("n\u0303ow")[0]),
        (("កុំ", "ស្រ្តី"), TEXT.partition("ស្រ្តី")[0]),
        (("\n\n",), TEXT),
    ],
)
def test_a_stop_string_is_never_shown_in_part(
    tokenizer: Any, stop: tuple[str, ...], kept: str
) -> None:
    normal = tokenizer.backend_tokenizer.normalizer.normalize_str
    ids = tokenizer.encode(TEXT, add_special_tokens=False)
    wanted = tuple(normal(one) for one in stop)
    assert "".join(shown(tokenizer, ids, wanted)) == normal(kept)


def test_a_reply_says_how_it_ended_and_the_same_seed_writes_the_same(opened: OpenModel) -> None:
    ids = opened.turn_ids([{"role": "user", "content": "សួស្តី"}])
    assert (ids[0], ids.count(0)) == (0, 1)
    sampling = Sampling(max_new_tokens=12, temperature=1.0, seed=3)
    first, again = (Reply(opened, ids, sampling) for _ in range(2))
    assert "".join(first) == first.text == "".join(again)
    assert first.num_tokens == 12
    assert first.finish_reason == "length"
    other = Reply(opened, ids, Sampling(max_new_tokens=12, temperature=1.0, seed=4))
    assert "".join(other) != first.text
    ended = Reply(opened, ids, Sampling(max_new_tokens=200, temperature=1.0, stop=(first.text[3],)))
    assert first.text[3] not in "".join(ended)
    assert ended.finish_reason == "stop"
    assert ended.num_tokens < 200


def test_whoever_stops_reading_stops_the_network(
    opened: OpenModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    forward = opened.model.forward
    monkeypatch.setattr(
        opened.model, "forward", lambda *a, **k: (calls.append(1), forward(*a, **k))[1]
    )
    ids = opened.turn_ids([{"role": "user", "content": "1"}])
    pieces = iter(Reply(opened, ids, Sampling(max_new_tokens=100, temperature=1.0)))
    next(pieces)
    pieces.close()
    assert 0 < len(calls) < 50
