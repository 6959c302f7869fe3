"""Sets of items -> data sets of lm-eval, shuffled by a seed; and chrF2 as our reports count it.

Sets that may not be shipped are read from the folder TONSAI_EVAL_DATA.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import datasets

from tonsai_pipeline.metrics.suite import load_suite
from tonsai_pipeline.metrics.translation import chrf2
from tonsai_pipeline.text import normalize

_SEED = 0
#: The English names of SIB-200 and the Khmer words that a text is continued with.
_TOPICS = {
    "science/technology": "\u179c\u17b7\u1791\u17d2\u1799\u17b6\u179f\u17b6\u179f\u17d2\u178f\u17d2\u179a",
    "travel": "\u1791\u17c1\u179f\u1785\u179a\u178e\u17cd",
    "politics": "\u1793\u1799\u17c4\u1794\u17b6\u1799",
    "sports": "\u1780\u17b8\u17a1\u17b6",
    "health": "\u179f\u17bb\u1781\u1797\u17b6\u1796",
    "entertainment": "\u1780\u1798\u17d2\u179f\u17b6\u1793\u17d2\u178f",
    "geography": "\u1797\u17bc\u1798\u17b7\u179c\u17b7\u1791\u17d2\u1799\u17b6",
}


def pairs(**_: Any) -> datasets.DatasetDict:
    """Return the minimal pairs of the shipped suite."""
    items = [i for i in load_suite() if i.kind == "minimal_pair"]
    return _test([{"id": i.id, "good": i.good, "bad": i.bad} for i in items])


def choices(**_: Any) -> datasets.DatasetDict:
    """Return the choices of the shipped suite."""
    items = [i for i in load_suite() if i.kind == "choice"]
    return _test(
        [
            {"id": i.id, "prompt": i.prompt, "choices": list(i.choices), "gold": i.gold}
            for i in items
        ]
    )


def sib200(**_: Any) -> datasets.DatasetDict:
    """Return SIB-200's Khmer test rows; the topics are the same in the same order for every row."""
    names = list(_TOPICS)
    return _test(
        [
            {
                "text": normalize(row["text"]),
                "choices": list(_TOPICS.values()),
                "gold": names.index(row["category"]),
            }
            for row in _rows("sib200_khm.jsonl")
            if row.get("split", "test") == "test"
        ]
    )


def ntrex(**_: Any) -> datasets.DatasetDict:
    """Return NTREX lines, Khmer and English side by side, and three others to show how it is done."""
    lines = zip(_rows("ntrex128_khm.jsonl"), _rows("ntrex128_eng.jsonl"), strict=True)
    rows = [{"khm": normalize(a["text"]), "eng": b["text"]} for a, b in lines]
    shuffled = datasets.Dataset.from_list(rows).shuffle(seed=_SEED)
    return datasets.DatasetDict(
        {"shown": shuffled.select(range(3)), "test": shuffled.select(range(3, len(rows)))}
    )


def cloze_belebele(rows: datasets.Dataset) -> datasets.Dataset:
    """Return Belebele's rows with their answers as a list, normalized and shuffled."""

    def turn(row: dict[str, Any]) -> dict[str, Any]:
        names = ("mc_answer1", "mc_answer2", "mc_answer3", "mc_answer4")
        return {
            "passage": normalize(row["flores_passage"]),
            "asked": normalize(row["question"]),
            "choices": [normalize(row[name]) for name in names],
            "gold": int(row["correct_answer_num"]) - 1,
        }

    return rows.map(turn).shuffle(seed=_SEED)


def into_khmer(doc: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """Return what `corpus_chrf2` takes."""
    return {"chrf2": (results[0], doc["khm"], doc["eng"])}


def into_english(doc: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """Return what `corpus_chrf2` takes."""
    return {"chrf2": (results[0], doc["eng"], doc["khm"])}


def corpus_chrf2(lines: list[tuple[str, str, str]]) -> float:
    """Return chrF2 over the set, after the corpus normalizer, 0..100."""
    written, wanted, sources = zip(*lines, strict=True)
    return chrf2(written, [[one] for one in wanted], sources).score


def _test(rows: list[dict[str, Any]]) -> datasets.DatasetDict:
    return datasets.DatasetDict({"test": datasets.Dataset.from_list(rows).shuffle(seed=_SEED)})


def _rows(name: str) -> list[dict[str, Any]]:
    folder = os.environ.get("TONSAI_EVAL_DATA")
    if not folder:
        raise FileNotFoundError(f"{name}: TONSAI_EVAL_DATA names no folder")
    for path in (Path(folder) / name, Path(folder) / f"{name}.gz"):
        if path.is_file():
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            return [json.loads(line) for line in data.decode("utf-8").splitlines() if line]
    raise FileNotFoundError(f"{Path(folder) / name}: no such file, nor with .gz")
