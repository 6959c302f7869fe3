"""A recipe in which every list, option and file is there, and changes of it, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from tonsai_pipeline.recipe import Recipe, Section, parse_recipe


def full_recipe(folder: Path) -> Recipe:
    """Return a recipe that names a file wherever it can, and has an entry in every list."""
    files = (
        "words.txt",
        "terms.txt",
        "lid.bin",
        "quiz.jsonl",
        "text.txt",
        "ready.bin",
        "deepspeed.json",
        "asked.jsonl",
        "promise.json",
    )
    for number, name in enumerate(files):
        # JSON that DeepSpeed takes, and other bytes in each file.
        (folder / name).write_text('{"gradient_clipping": 1.0}' + "\n" * number)
    for name in ("tokenizer", "network"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "config.json").write_text(name)
    sources = [
        {"name": name, "lang": name[:3], "path": f"{name}.jsonl", "keep_raw": name == "eng_b"}
        for name in ("khm_a", "eng_b")
    ]
    classifier = {"positives": ["khm_a"], "negatives": ["eng_b"]}
    return parse_recipe(
        {
            "name": "everything",
            "sources": sources,
            "normalize": {"lid_model": "lid.bin"},
            "dedup": {
                "policy": "prefer_source",
                "prefer_sources": ["eng_b"],
                "decontaminate": {"evaluation_sets": [{"name": "quiz", "path": "quiz.jsonl"}]},
            },
            "quality": {
                "classifiers": {"eng": {"model": "ready.bin"}, "khm": classifier},
                "word_lists": {"eng": "words.txt"},
                "kinds": {"verse": {"khm": {"min_words": 3.0}}},
            },
            "mixture": {"stages": [{"last_frac": 0.1}], "source_max_epochs": {"khm_a": 2}},
            "tokenizer": {
                "base": "tokenizer",
                "keep_base_tokens": 600,
                "extend_khmer_tokens": 10,
                "parallel": {"khm": "khm_a", "eng": "eng_b"},
            },
            "model": {"base": "network"},
            "evaluate": {
                "listed_terms": {"khm": "terms.txt"},
                "prediction": "promise.json",
                "texts": [{"name": "text", "path": "text.txt", "lang": "khm"}],
            },
            "train": {
                "freeze": [{"until_frac": 0.5, "trainable": ["embeddings"]}],
                "deepspeed_config": "deepspeed.json",
            },
            "sft": {
                "sources": [{"name": "asked", "path": "asked.jsonl", "license": "MIT"}],
                "train": {"deepspeed_config": "deepspeed.json"},
            },
        },
        where="everything",
        folder=folder,
    )


def named_files(folder: Path) -> dict[str, Path]:
    """Return every file that the full recipe names, by the setting that names it."""
    return {
        "normalize.lid_model": folder / "lid.bin",
        "dedup.decontaminate.evaluation_sets.path": folder / "quiz.jsonl",
        "quality.classifiers.model": folder / "ready.bin",
        "quality.word_lists": folder / "words.txt",
        "tokenizer.base": folder / "tokenizer" / "config.json",
        "model.base": folder / "network" / "config.json",
        "train.deepspeed_config": folder / "deepspeed.json",
        "evaluate.listed_terms": folder / "terms.txt",
        "evaluate.prediction": folder / "promise.json",
        "sft.sources.path": folder / "asked.jsonl",
        "evaluate.texts.path": folder / "text.txt",
    }


def changed(section: Section, path: str) -> Section:
    """Return a section with one setting changed to another value of its type; lists by their first entry."""
    name, _, rest = path.partition(".")
    value = getattr(section, name)
    annotation = type(section).model_fields[name].annotation
    new = _changed_inside(value, rest, annotation) if rest else _other(value, annotation)
    return section.model_copy(update={name: new})


def _changed_inside(value: Any, rest: str, annotation: Any) -> Any:
    if value is None:
        value = _entry(_section_of(annotation))
    if isinstance(value, tuple | dict) and not value:
        kind = next(
            one for part in _parts(annotation) for one in get_args(part) if _is_section(one)
        )
        value = (_entry(kind),) if isinstance(value, tuple) else {"eng": _entry(kind)}
    if isinstance(value, Section):
        return changed(value, rest)
    if isinstance(value, Mapping):
        first = next(iter(value))
        return {**value, first: changed(value[first], rest)}
    return (changed(value[0], rest), *value[1:])


def _other(value: Any, annotation: Any) -> Any:
    options = [one for part in _parts(annotation) for one in get_args(part)]
    if any(get_origin(part) is Literal for part in _parts(annotation)):
        others = [one for one in options if one != value and one is not None]
        return others[0] if others else True
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, Path):
        return value.with_name("lid.bin" if value.name != "lid.bin" else "words.txt")
    if isinstance(value, Mapping):
        first = next(iter(value), None)
        return {"eng_b": 1.0} if first is None else {**value, first: _other(value[first], Any)}
    if isinstance(value, tuple):
        return (*value, "email")
    if isinstance(value, str):
        return f"{value}x"
    kind = next(part for part in _parts(annotation) if part is not type(None))
    return {int: 7, float: 7.5, str: "new", Path: Path(__file__), bool: True}.get(kind, ("new",))


def _parts(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, UnionType):
        return tuple(part for one in get_args(annotation) for part in _parts(one))
    if hasattr(annotation, "__metadata__"):
        return _parts(get_args(annotation)[0])
    return (annotation,)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _entry(kind: type[Section]) -> Section:
    """Return a section with the defaults, and something in every field that has none."""
    required = [key for key, field in kind.model_fields.items() if field.is_required()]
    return kind.model_construct(None, **dict.fromkeys(required, "eng_b"))


def _section_of(annotation: Any) -> type[Section]:
    return next(part for part in _parts(annotation) if _is_section(part))
