"""Generated instructions have one right reply each, are never asked twice, and are clean Khmer."""

from __future__ import annotations

import json
from pathlib import Path

from tonsai_pipeline.synthetic.instructions import (
    draw_conversations,
    write_instructions,
    write_tasks,
)
from tonsai_pipeline.text import normalize

ROWS = list(draw_conversations(500, seed=1))


def test_the_seed_decides(tmp_path: Path) -> None:
    write_instructions(tmp_path / "a.jsonl", 50, seed=4)
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert rows == list(draw_conversations(50, seed=4))
    assert rows != list(draw_conversations(50, seed=5))


def test_a_file_a_task_holds_the_same_conversations(tmp_path: Path) -> None:
    files = write_tasks(tmp_path, 50, seed=4)
    found = {task: list(map(json.loads, path.open())) for task, path in files.items()}
    assert all(row["task"] == task for task, rows in found.items() for row in rows)
    together = [row for rows in found.values() for row in rows]
    assert sorted(map(str, together)) == sorted(map(str, draw_conversations(50, seed=4)))


def test_no_instruction_is_asked_twice() -> None:
    asked = [
        "\n".join(m["content"] for m in row["messages"] if m["role"] == "user") for row in ROWS
    ]
    assert len(set(asked)) == len(asked)


def test_every_task_is_there_and_text_is_normalized() -> None:
    assert {row["task"] for row in ROWS} == {
        "addition",
        "classifier",
        "copy",
        "reverse",
        "greeting",
    }
    assert {row["lang"] for row in ROWS} == {"khm", "eng"}
    for row in ROWS:
        for message in row["messages"]:
            assert message["content"] == normalize(message["content"])
            assert "{" not in message["content"]


def test_sums_and_reversals_are_right() -> None:
    digits = str.maketrans("០១២៣៤៥៦៧៨៩", "0123456789")
    checked = 0
    for row in ROWS:
        question, reply = (m["content"].translate(digits) for m in row["messages"][-2:])
        if row["task"] == "addition":
            numbers = [int(n) for n in "".join(c if c.isdigit() else " " for c in reply).split()]
            assert numbers[0] + numbers[1] == numbers[2]
            checked += 1
        if row["task"] == "reverse":
            sign = ": " if row["lang"] == "eng" else "៖ "
            listed, answered = (text.rpartition(sign)[2].split(", ") for text in (question, reply))
            assert answered == listed[::-1]
            checked += 1
    assert checked > 100
