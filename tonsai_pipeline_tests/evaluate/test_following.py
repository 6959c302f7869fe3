"""Held-out instructions: what is asked, and how answers are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tonsai_pipeline.evaluate import following
from tonsai_pipeline.evaluate.following import Instruction, measure_following, prompt_ids
from tonsai_pipeline.evaluate.subject import open_subject
from tonsai_pipeline.schema import HELD_OUT_CONVERSATIONS
from tonsai_pipeline.storage.documents import write_part
from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline_tests.tune.chats import write_base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


def row(source: str, number: int) -> dict[str, Any]:
    turns = [("user", f"q{number}"), ("assistant", f"a{number}")]
    messages = [{"role": role, "content": text} for role, text in turns]
    return {"source": source, "row": number, "lang": "eng", "messages": messages}


def test_items_are_spread_over_the_sources(tmp_path: Path) -> None:
    rows = [*(row("large", n) for n in range(9)), row("small", 0)]
    table = pa.Table.from_pylist(rows, schema=HELD_OUT_CONVERSATIONS)
    write_part(tmp_path / "h.parquet", [table], HELD_OUT_CONVERSATIONS)
    found = following.read_instructions(tmp_path / "h.parquet", 4)
    assert [one.source for one in found] == ["large", "small", "large", "large"]
    assert found[0] == Instruction("large", "eng", ({"role": "user", "content": "q0"},), "a0")


def test_right_answers_ended_ones_and_health_are_counted(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = open_subject(str(base), name="m")
    encode: Any = subject.tokenizer.encode
    answers = ["៥ ក្បាល", "something else"]

    def answer(_: Any, prompts: Any, **options: Any) -> list[list[int]]:
        assert all(ids.count(0) == 1 and ids[0] == 0 for ids in prompts)
        end = subject.tokenizer.convert_tokens_to_ids("<|im_end|>")
        assert end in options["eos_ids"]
        room = options["max_new_tokens"][0]
        texts = [encode(text, add_special_tokens=False) for text in answers]
        return [texts[0], (texts[1] * room)[:room]]

    monkeypatch.setattr(following, "generate_many", answer)
    asked = ({"role": "user", "content": "គោ ៥?"},)
    items = [Instruction("a", "khm", asked, "5 ក្បាល។"), Instruction("b", "eng", asked, "right")]
    found = measure_following(subject, items, NormalizeOptions(), room=40)
    assert {group: one.value for group, one in found.exact.items()} == {
        "all": 0.5,
        "a": 1.0,
        "b": 0.0,
    }
    assert found.ended.value == 0.5
    assert found.answers[0].is_right
    assert found.answers[0].ended
    assert found.health["num_texts"] == 2


def test_a_model_without_a_template_is_asked_in_lines(tmp_path: Path) -> None:
    subject = open_subject(str(write_base(tmp_path / "plain", markers=False)))
    ids = prompt_ids(subject, [{"role": "user", "content": "ab"}])
    assert subject.tokenizer.decode(ids) == "<|bos|>ab\n"
