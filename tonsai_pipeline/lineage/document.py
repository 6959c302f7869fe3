"""Declarations -> `docs/what_reruns_when.md`: what each stage is made from, and what each change makes again.

uv run python -m tonsai_pipeline.pipeline > docs/what_reruns_when.md
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, get_args

from tonsai_pipeline.lineage.pipeline import Pipeline
from tonsai_pipeline.lineage.stage import Fields, Read, Scope, Stage
from tonsai_pipeline.recipe import Recipe, Section

_HEAD = """# What reruns when

Every stage is declared once (`STAGE` in `tonsai_pipeline/stages/<verb>/stage.py`): what it makes, its version, the settings it
is given, the artifacts it reads. Its cache key is made of exactly these, settings that name files by the bytes of the files,
artifacts by theirs. A stage function has no other way to reach a recipe or a store, so what is not in the key cannot be
read. This page is generated from the declarations: `uv run python -m tonsai_pipeline.pipeline > docs/what_reruns_when.md`.
A test changes every setting, every file and every dump, and holds the keys against this page.
"""


#: Settings that no stage is given, and what they change nevertheless.
_OTHERWISE = {
    "sources.path": "`dump_catalog`: which dumps there are",
    "sources.hub": "`dump_catalog`: which dumps there are",
    "sources.date": "`dump_catalog`: which dumps there are, and their order",
    "sources.keep_raw": "`raw_documents` and `normalized_documents`, with the same documents; without it fetched again",
    "dedup.policy": "the order of the dumps, and so `dedup_decisions` behind the first that moved",
    "dedup.prefer_sources": "the same",
}


def page(pipeline: Pipeline) -> str:
    """Return the whole page as Markdown."""
    return "\n".join([_HEAD, *_stages(pipeline), *_settings(pipeline), *_dumps(pipeline)]) + "\n"


def leaves(section: type[Section] = Recipe, path: str = "") -> Iterator[str]:
    """Yield the path of every setting of the recipe; sections in lists are written once."""
    for name, field in section.model_fields.items():
        place = f"{path}.{name}" if path else name
        inner = _section_of(field.annotation)
        if inner is None:
            yield place
        else:
            yield from leaves(inner, place)


def given_to(pipeline: Pipeline, leaf: str) -> list[str]:
    """Return the stages whose key a setting is part of."""
    return [
        stage.name
        for stage in pipeline
        if any(_holds(fields, leaf) for fields in stage.fields.values())
    ]


def _can_change_a_result(leaf: str, below: str = "") -> bool:
    """Whether no section on the way to a setting says that it cannot; a stage that names one of them means what is in it."""
    section: type[Section] | None = Recipe
    place = ""
    for name in leaf.split("."):
        assert section is not None, "a leaf is in sections all the way"
        place = f"{place}.{name}".lstrip(".")
        if name in section.unkeyed and not f"{below}.".startswith(f"{place}."):
            return False
        section = _section_of(section.model_fields[name].annotation)
    return True


def after(pipeline: Pipeline, stage: str) -> list[str]:
    """Return the stages that read what a stage makes, directly or through others."""
    found = {stage}
    for one in pipeline:
        if any(read.stage in found for read in one.reads.values()):
            found.add(one.name)
    return [one.name for one in pipeline if one.name in found and one.name != stage]


def _holds(fields: Fields, leaf: str) -> bool:
    path = "sources" if fields.path == "source" else fields.path
    if leaf == path:
        return True
    if not leaf.startswith(f"{path}.") or not _can_change_a_result(leaf, path):
        return False
    name = leaf[len(path) + 1 :].split(".", maxsplit=1)[0]
    return (not fields.only or name in fields.only) and name not in fields.without


def _section_of(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_section_of, get_args(annotation))), None)


def _stages(pipeline: Pipeline) -> Iterator[str]:
    yield "## Stages\n\nIn their order. An inner stage is made with its asset, and has no page of its own.\n"
    yield "| stage | one a dump | inner stage of | reads |\n|---|---|---|---|"
    for stage in pipeline:
        reads = ", ".join(map(_read_text, stage.reads.values()))
        yield f"| `{stage.name}` | {'yes' if stage.each_dump else ''} | {_inner_of(stage)} | {reads} |"
    yield ""


def _inner_of(stage: Stage) -> str:
    return f"`{stage.part_of}`" if stage.part_of else ""


def _read_text(read: Read) -> str:
    few = {Scope.WHOLE: "", Scope.SAME_DUMP: "", Scope.EVERY_DUMP: " of every dump"}
    scope = read.scope.value
    text = f"`{read.stage}`" + few.get(read.scope, f" ({scope})") if read.stage else scope
    is_of_dump = read.scope in (Scope.SAME_DUMP, Scope.RAW_DUMP)
    return f"{text} (of some sources)" if read.of is not None and is_of_dump else text


def _settings(pipeline: Pipeline) -> Iterator[str]:
    yield "## Settings\n\nA change of a setting makes these stages again, and then whatever reads a result that came out different.\n"
    yield "| setting | makes again |\n|---|---|"
    rows = [(leaf.rpartition(".")[0], _effect(pipeline, leaf), leaf) for leaf in leaves()]
    for (section, effect), same in groupby(rows, key=lambda row: row[:2]):
        names = [leaf for _, _, leaf in same]
        shown = names[0] if len(names) == 1 else f"{section}." + ", .".join(_last(names))
        yield f"| `{shown}` | {effect} |"
    yield ""


def _last(names: list[str]) -> list[str]:
    return [name.rpartition(".")[2] for name in names]


def _effect(pipeline: Pipeline, leaf: str) -> str:
    for start, effect in _OTHERWISE.items():
        if leaf.startswith(start):
            return effect
    if names := given_to(pipeline, leaf):
        return ", ".join(f"`{name}`" for name in names)
    if _can_change_a_result(leaf):
        return "nothing"
    return "nothing: a limit of a check, what is watched, or how work is divided"


def _dumps(pipeline: Pipeline) -> Iterator[str]:
    first = next(stage.name for stage in pipeline if not stage.part_of)
    yield "## Dumps\n"
    yield f"A new or changed dump makes `{first}` of that dump again, and then, where results differ:\n"
    yield "| what is made | of that dump | of dumps behind it | of every dump | of the corpus |\n|---|---|---|---|---|"
    chained = {
        stage.name
        for stage in pipeline
        if any(
            r.scope in (Scope.EARLIER_DUMPS, Scope.UP_TO_THIS_DUMP) for r in stage.reads.values()
        )
    }
    corpus = {stage.name for stage in pipeline if not stage.each_dump}
    for name in after(pipeline, first):
        stage = pipeline[name]
        reads_corpus = any(read.stage in corpus for read in stage.reads.values())
        marks = (
            stage.each_dump,
            stage.each_dump and name in chained,
            stage.each_dump and reads_corpus,
            not stage.each_dump,
        )
        yield f"| `{name}` | " + " | ".join("yes" if mark else "" for mark in marks) + " |"
