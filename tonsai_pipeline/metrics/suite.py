"""The prompt suite: versioned JSONL in the package -> items, and what a script finds wrong with them.

    suites/khmer-1.jsonl ──load_suite──▶ items ──review──▶ what to mend before a native reader sees them

An item, once released, is never changed: another version is another file, so that scores of two dates compare.
Every item was written for this product. None was yet read by a second native reader.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import pyarrow as pa

from tonsai_pipeline.metrics.answers import answer_units, contains
from tonsai_pipeline.metrics.checks import passes
from tonsai_pipeline.text import normalize, normalize_batch_report

#: The newest suite.
KHMER = "khmer-1"

#: Items by kind; what a suite must have, in this order in reports.
KINDS = {
    "minimal_pair": 50,
    "choice": 35,
    "qa": 30,
    "qa_context": 25,
    "translate_eng_khm": 20,
    "translate_khm_eng": 20,
    "summarize": 8,
    "headline": 7,
    "continue": 15,
    "instruct": 15,
    "refuse": 10,
}
#: Kinds whose answer may stand in the prompt: it is a passage, or the instruction names the words to use.
_OPEN_BOOK = ("qa_context", "summarize", "headline", "instruct")
#: The longest choice is right in one item of four by chance; more than this of 35 happens once in 40 by chance.
_MAX_LONGEST_FRAC = 0.4


@dataclass(frozen=True)
class Item:
    """One item.

    Args:
        id: Unique; never used again for another item.
        kind: A key of `KINDS`.
        topic: What is asked about, or the genre.
        metric: How an answer is scored.
        gloss: What a reader without Khmer should know.
        version: Of the item.
        prompt: What the model goes on from; empty for minimal pairs.
        references: Right answers.
        choices: Continuations of the prompt, of which `gold` is right.
        gold: Index of the right choice.
        popular: Index of the choice that is wrong and often believed.
        good: The sentence to be preferred.
        bad: The other one.
        source: What is to be translated or summarized.
        checks: See `checks.passes`.
    """

    id: str
    kind: str
    topic: str
    metric: str
    gloss: str
    version: int
    prompt: str = ""
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    gold: int = 0
    popular: int | None = None
    good: str = ""
    bad: str = ""
    source: str = ""
    checks: tuple[str, ...] = ()

    @property
    def language(self) -> str:
        """The language that an answer should be in."""
        english = self.kind == "translate_khm_eng" or any(
            c.startswith("latin_frac>") for c in self.checks
        )
        return "eng" if english else "khm"

    @property
    def asked(self) -> tuple[str, ...]:
        """Question and right answer: what a corpus must not hold."""
        right = self.choices[self.gold] if self.choices else "".join(self.references[:1])
        return (self.prompt + " " + right,) if self.prompt else (self.good,)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text of the item that a reader sees."""
        found = (self.prompt, *self.references, *self.choices, self.good, self.bad, self.source)
        return tuple(text for text in found if text)


def load_suite(name: str = KHMER) -> tuple[Item, ...]:
    """Return the items of a shipped suite, in order.

    Raises:
        ValueError: There is no such suite.
    """
    file = resources.files("tonsai_pipeline.metrics") / "suites" / f"{name}.jsonl"
    if not file.is_file():
        raise ValueError(f"no prompt suite named {name!r}; shipped: {KHMER}")
    return parse_suite(file.read_text(encoding="utf-8"))


def parse_suite(lines: str) -> tuple[Item, ...]:
    """Return the items of JSON lines.

    Raises:
        ValueError: No items, or a line that is none; its number is named.
    """
    items = []
    for number, line in enumerate(lines.splitlines(), 1):
        try:
            fields: dict[str, Any] = json.loads(line)
            items.append(Item(**{name: _frozen(value) for name, value in fields.items()}))
        except (TypeError, ValueError) as error:
            raise ValueError(f"line {number} is no item: {error}") from error
    if not items:
        raise ValueError("the prompt suite has no items")
    return tuple(items)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def review(items: Sequence[Item]) -> list[str]:
    """Return what is wrong with a suite, a line each; nothing for one that may be shown to a reader."""
    found = [f"{item.id}: {fault}" for item in items for fault in _faults(item)]
    found += [
        f"{name} is used {n} times" for name, n in Counter(i.id for i in items).items() if n > 1
    ]
    keys = Counter(answer_units(item.prompt or item.good) for item in items)
    found += [
        f"{item.id}: another item has the same prompt"
        for item in items
        if keys[answer_units(item.prompt or item.good)] > 1
    ]
    return found + _bias(items)


def _faults(item: Item) -> list[str]:
    if item.kind not in KINDS:
        return [f"unknown kind {item.kind!r}"]
    found = []
    if any(normalize(text) != text for text in item.texts):
        found.append("the normalizer would change it")
    counts = normalize_batch_report(pa.array(item.texts, pa.large_string()))[1].to_pylist()
    if item.topic != "spelling" and any(
        row["num_invalid_clusters"] + row["num_orphan_marks"] for row in counts
    ):
        found.append("a cluster that no Khmer word has")
    if item.references and item.kind not in _OPEN_BOOK and contains(item.prompt, item.references):
        found.append("the answer stands in the prompt")
    found += [
        f"{what} is missing" for what, is_there in _NEEDED[item.kind].items() if not is_there(item)
    ]
    for check in item.checks:
        try:
            passes("", check)
        except ValueError as error:
            found.append(str(error))
    return found


def _bias(items: Sequence[Item]) -> list[str]:
    """Find what a model could guess by: the length or the place of the right choice."""
    found = []
    choices = [item for item in items if item.kind == "choice" and len(item.choices) > item.gold]
    longest = [item for item in choices if _is_longest(item)]
    if len(longest) > _MAX_LONGEST_FRAC * len(choices):
        found.append(f"the right choice is the longest in {len(longest)} of {len(choices)} items")
    places = Counter(item.gold for item in choices)
    if choices and max(places.values()) > _MAX_LONGEST_FRAC * len(choices):
        found.append(f"the right choice stands in the same place in {max(places.values())} items")
    return found


def _is_longest(item: Item) -> bool:
    gold = len(item.choices[item.gold].encode())
    return all(len(c.encode()) < gold for i, c in enumerate(item.choices) if i != item.gold)


def _has_choices(item: Item) -> bool:
    return 0 <= item.gold < len(item.choices) and len(set(item.choices)) == len(item.choices) >= 2


_NEEDED: dict[str, dict[str, Callable[[Item], bool]]] = {
    **{
        kind: {
            "a prompt": lambda item: bool(item.prompt),
            "a reference": lambda item: bool(item.references),
        }
        for kind in KINDS
    },
    "minimal_pair": {
        "a pair of two sentences": lambda item: (
            bool(item.good and item.bad) and item.good != item.bad
        )
    },
    "choice": {
        "a prompt": lambda item: bool(item.prompt),
        "a right choice among different ones": _has_choices,
    },
    "continue": {"a prompt": lambda item: bool(item.prompt)},
    "instruct": {"a check": lambda item: bool(item.checks)},
    "refuse": {"a check": lambda item: bool(item.checks)},
}
