"""Recipes for the single-step commands: their flags -> a recipe beside the output, run like any other.

--khmer, --dataset-dir, --input ──▶ sources ──write_recipe──▶ <output>.recipe.yaml ──▶ the graph
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

#: Sections for text that is used as it is: it was cleaned before, or its owner wants it so.
AS_IT_IS: dict[str, Any] = {"dedup": {"enabled": False}, "quality": {"enabled": False}}
#: Beside the splits of a prepared dataset: the settings by which its validation documents were chosen.
HELD_OUT_NAME = "held_out.json"
#: For a tokenizer alone: all text is for training.
NOTHING_HELD_OUT: dict[str, Any] = {"validation": {"frac": 0.0}}
_HEAD_DOCUMENTS = 1000
_HEAD_BYTES = 1 << 20


def write_recipe(output_dir: Path, values: dict[str, Any]) -> Path:
    """Write the recipe of a single-step command beside its output, named after it, and return its path."""
    import yaml

    from tonsai_pipeline.storage.files import write_bytes

    name = re.sub(r"[^a-z0-9_.-]+", "-", str(output_dir).lower())[-60:].strip("-._") or "output"
    path = output_dir.with_name(output_dir.name + ".recipe.yaml")
    text = yaml.safe_dump({"name": name, **values}, allow_unicode=True, sort_keys=False)
    write_bytes(path, text.encode())
    return path


def shares(weights: dict[str, float]) -> dict[str, float]:
    """Scale weights so that they sum to 1; languages without weight are left out.

    Example:
        >>> shares({"khm": 3, "eng": 1})
        {'khm': 0.75, 'eng': 0.25}
    """
    total = sum(weights.values())
    return {lang: weight / total for lang, weight in weights.items() if weight > 0}


def location(name: str) -> dict[str, Any]:
    """Return the recipe keys of a source given as a path, a glob, a URL or a Hub id.

    Example:
        >>> location("wikimedia/wikipedia")
        {'hub': {'id': 'wikimedia/wikipedia'}}
        >>> location("texts/*.jsonl.gz")
        {'path': 'texts/*.jsonl.gz'}
    """
    looks_like_id = re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(name).exists()
    return {"hub": {"id": name}} if looks_like_id else {"path": name}


def dataset_sources(
    dataset_dir: Path, split: str, text_column: str
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Describe a dataset folder as recipe sources, one a language if it has a language column.

    Returns:
        The sources, and the target share of each language.

    Raises:
        DumpError: The folder is no dataset, or has no such split or column.
    """
    import datasets

    from tonsai_pipeline.errors import DumpError
    from tonsai_pipeline.export.dataset import SHARES_NAME
    from tonsai_pipeline.storage.files import read_json

    try:
        found: Any = datasets.load_from_disk(str(dataset_dir))
    except FileNotFoundError as error:
        raise DumpError(
            f"--dataset-dir {dataset_dir}: not a dataset folder; make one with: tonsai prepare"
        ) from error
    is_whole = isinstance(found, datasets.DatasetDict)
    if is_whole and split not in found:
        splits = ", ".join(str(name) for name in found)
        raise DumpError(f"--dataset-split {split}: {dataset_dir} has: {splits}")
    rows = found[split] if is_whole else found
    if text_column not in rows.column_names:
        raise DumpError(
            f"--text-column {text_column}: {dataset_dir} has: {', '.join(rows.column_names)}"
        )
    places = [dataset_dir / name for name in _read_together(dataset_dir, split)]
    paths = [str(place.absolute()) for place in (places if is_whole else [dataset_dir])]
    common = {"path": paths, "format": "hf_disk", "text_column": text_column}
    if "lang" not in rows.column_names:
        lang = majority_language(rows[:_HEAD_DOCUMENTS][text_column])
        return [{"name": "dataset", "lang": lang, **common}], {lang: 1.0}
    langs = sorted(set(rows.unique("lang")) & {"khm", "eng"})
    path = dataset_dir / SHARES_NAME
    targets: Any = read_json(path) if path.is_file() else {}
    weights = {lang: targets.get("languages", {}).get(lang, 1.0) for lang in langs}
    sources = [
        {"name": f"dataset_{lang}", "lang": lang, "where": {"lang": lang}, **common}
        for lang in langs
    ]
    return sources, shares(weights)


def hold_out(dataset_dir: Path, split: str) -> dict[str, Any]:
    """Return the keys of `mixture` that say what is held out.

    Of a dataset that `tonsai prepare` made, what it held out and nothing else: which documents those are follows from
    their text and these settings. Of another one, some fifty documents, at most a tenth.
    """
    import datasets

    from tonsai_pipeline.storage.files import read_json

    if _read_together(dataset_dir, split) != [split]:
        kept: Any = read_json(dataset_dir / HELD_OUT_NAME)
        return kept
    found: Any = datasets.load_from_disk(str(dataset_dir))
    num_rows = len(found[split] if isinstance(found, datasets.DatasetDict) else found)
    return {"validation": {"frac": min(0.1, max(0.005, 50 / max(num_rows, 1)))}}


def _read_together(dataset_dir: Path, split: str) -> list[str]:
    """The training split of a prepared dataset is read with what was held out of it, and held out again."""
    is_ours = split == "train" and (dataset_dir / HELD_OUT_NAME).is_file()
    return ["train", "validation"] if is_ours else [split]


def text_sources(files: list[Path]) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Describe raw text files as recipe sources, each in the language that most of its beginning is in.

    Raises:
        DumpError: A file does not exist.
    """
    from tonsai_pipeline.errors import DumpError

    sources = []
    for number, file in enumerate(files):
        if not file.is_file():
            raise DumpError(f"--input {file}: no such file")
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES).decode("utf-8", "ignore")
        lang = majority_language(head.splitlines()[:_HEAD_DOCUMENTS])
        place = {"path": str(file.absolute()), "format": "text", "text_layout": "line"}
        sources.append({"name": f"input_{number}", "lang": lang, **place})
    langs = sorted({source["lang"] for source in sources})
    return sources, shares(dict.fromkeys(langs, 1.0))


def majority_language(texts: list[str]) -> str:
    """Return "khm" or "eng", whichever more of the texts are in; mixed ones count as Khmer."""
    import pyarrow as pa

    from tonsai_pipeline.text import languages_batch

    found = languages_batch(pa.array(texts, pa.large_string())).to_pylist()
    return "khm" if found.count("khm") + found.count("mixed") > found.count("eng") else "eng"
