"""A seed -> instructions that have one right reply: sums, classifiers, copies, reversals, greetings, in Khmer and English.

    "តើ {a} បូក {b} ស្មើនឹងប៉ុន្មាន?" ──draw──▶ question and reply, of one turn or of two

A model that answers items it never saw has learned to follow, and not the items.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

import orjson
import yaml

from tonsai_pipeline.storage.files import write_bytes

Lang = Literal["khm", "eng"]

#: Shares of the languages, and of conversations of two exchanges.
_KHMER_FRAC, _SECOND_TURN_FRAC = 0.8, 0.15
_LIST_SIZES = (2, 4)
#: Lists have many more forms than sums: of a draw without repeats, tasks would be unequal.
_MAX_TRIES = 20


class Exchange(NamedTuple):
    """What is asked, and the right reply."""

    task: str
    question: str
    reply: str


def draw_conversations(num: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield conversations as rows of `messages`, each instruction once.

    Args:
        num: How many at most; fewer where the forms of a task are used up.
        seed: The same seed gives the same conversations.
    """
    rng = Random(seed)
    seen: set[str] = set()
    for _ in range(num):
        lang: Lang = "khm" if rng.random() < _KHMER_FRAC else "eng"
        for _ in range(_MAX_TRIES):
            exchanges = [draw_exchange(rng, lang)]
            if rng.random() < _SECOND_TURN_FRAC:
                exchanges.append(draw_exchange(rng, lang))
            asked = "\n".join(one.question for one in exchanges)
            if asked not in seen:
                seen.add(asked)
                yield _row(exchanges, lang)
                break


def draw_exchange(rng: Random, lang: Lang) -> Exchange:
    """Draw a question of a random task, and its reply.

    Example:
        >>> draw_exchange(Random(7), "eng")
        Exchange(task='reverse', question='Write these words from last to first: bread, salt', reply='Reversed: salt, bread')
    """
    words = _language(lang)
    task = rng.choice(tuple(words["tasks"]))
    question, reply = rng.choice(words["tasks"][task])
    values = _values(rng, words)
    return Exchange(task, question.format_map(values), reply.format_map(values))


def write_instructions(path: Path, num: int, seed: int = 0) -> None:
    """Write conversations as JSONL."""
    lines = [orjson.dumps(row) + b"\n" for row in draw_conversations(num, seed)]
    write_bytes(path, b"".join(lines))


def write_tasks(folder: Path, num: int, seed: int = 0) -> dict[str, Path]:
    """Write the same conversations, a file for each task of a last question: a source each is measured by itself.

    Returns:
        The files by task.
    """
    by_task: dict[str, list[bytes]] = {}
    for row in draw_conversations(num, seed):
        by_task.setdefault(row["task"], []).append(orjson.dumps(row) + b"\n")
    files = {task: folder / f"{task}.jsonl" for task in sorted(by_task)}
    for task, path in files.items():
        write_bytes(path, b"".join(by_task[task]))
    return files


def _values(rng: Random, words: dict[str, Any]) -> dict[str, str]:
    digits = str.maketrans("0123456789", words["digits"])
    first, second = (rng.randint(*words["numbers"]) for _ in range(2))
    chosen = rng.sample(words["things"], rng.randint(*_LIST_SIZES))
    values = {
        "a": str(first).translate(digits),
        "b": str(second).translate(digits),
        "sum": str(first + second).translate(digits),
        "list": ", ".join(chosen),
        "reversed": ", ".join(reversed(chosen)),
        "greeting": rng.choice(words["greetings"]),
        "name": rng.choice(words["names"]),
    }
    if words["classifiers"]:
        values["noun"], values["classifier"] = rng.choice(tuple(words["classifiers"].items()))
    return values


def _row(exchanges: list[Exchange], lang: Lang) -> dict[str, Any]:
    messages = []
    for one in exchanges:
        messages.append({"role": "user", "content": one.question})
        messages.append({"role": "assistant", "content": one.reply})
    return {"messages": messages, "lang": lang, "task": exchanges[-1].task}


@cache
def _language(lang: Lang) -> dict[str, Any]:
    source = resources.files("tonsai_pipeline.synthetic") / "instructions.yaml"
    return yaml.safe_load(source.read_text(encoding="utf-8"))[lang]
