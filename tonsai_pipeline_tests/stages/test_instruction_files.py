"""Every layout of conversations from every kind of file: what is whole is kept, and what is not is named by its row."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline_tests.tune.chats import builder_of, recipe_of, write_base, write_jsonl

NUM_GOOD, BAD_ROW = 4, 2
KINDS = ("jsonl", "json", "parquet", "csv")


def rows_of(layout: str) -> list[dict[str, Any]]:
    asked = [f"{layout}: how many boats are on river {i}?" for i in range(NUM_GOOD)]
    replies = [f"There are {i} boats on that river." for i in range(NUM_GOOD)]
    pairs = list(zip(asked, replies, strict=True))
    rows: dict[str, list[dict[str, Any]]] = {
        "messages": [
            {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
            for q, a in pairs
        ],
        "sharegpt": [
            {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]}
            for q, a in pairs
        ],
        "alpaca": [{"instruction": q, "input": "", "output": a} for q, a in pairs],
        "prompt_completion": [{"prompt": q, "completion": a} for q, a in pairs],
    }
    bad: dict[str, dict[str, Any]] = {
        "messages": {"messages": "no list"},
        "sharegpt": {"conversations": [{"from": "alien", "value": "x"}]},
        "alpaca": {"instruction": "x", "input": "", "output": None},
        "prompt_completion": {"prompt": "x", "completion": None},
    }
    return [*rows[layout][:BAD_ROW], bad[layout], *rows[layout][BAD_ROW:]]


def flat(row: Mapping[str, Any]) -> dict[str, str | None]:
    """Return a row as tables have it: lists are JSON in a text."""
    return {
        name: value if value is None or isinstance(value, str) else json.dumps(value)
        for name, value in row.items()
    }


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    match path.suffix:
        case ".jsonl":
            write_jsonl(path, rows)
        case ".json":
            path.write_text(json.dumps(rows), encoding="utf-8")
        case ".parquet":
            pq.write_table(pa.Table.from_pylist([flat(row) for row in rows]), path)
        case _:
            with path.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, list(rows[0]))
                writer.writeheader()
                writer.writerows(flat(row) for row in rows)
    return path


def test_every_layout_is_read_from_every_file_and_a_bad_row_is_named(
    tmp_path: Path, store: Store, engine: Engine
) -> None:
    layouts = ("messages", "sharegpt", "alpaca", "prompt_completion")
    files = {
        f"{layout}_{kind}": write(tmp_path / f"{layout}.{kind}", rows_of(layout))
        for layout in layouts
        for kind in KINDS
    }
    recipe = recipe_of(write_base(tmp_path / "base"), files)
    made = builder_of(recipe, store, engine).build("instruction_data")
    counted = made.report["sources"]
    assert {name: row["num_kept"] for name, row in counted.items()} == dict.fromkeys(
        files, NUM_GOOD
    )
    named = {
        (row["dump"], row["file"], row["row"])
        for path in (made.path / "quarantine").rglob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    dropped = {
        (row["source"], files[row["source"]].name, row["row"])
        for path in made.parts()
        for row in pq.read_table(path).to_pylist()
        if row["drop_reason"] is not None
    }
    assert named | dropped == {(name, path.name, BAD_ROW) for name, path in files.items()}
    # A table has no null in a column of text: there it is an empty turn.
    assert {source for source, _, _ in dropped} == {"alpaca_csv", "prompt_completion_csv"}
