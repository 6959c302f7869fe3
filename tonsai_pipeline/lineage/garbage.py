"""Folders of a data root, recipes and their dumps -> what stays and why, what may go and why.

    recipe as it is ──keys──────────┐
    current/<recipe>/ ──pointers────┤
    finished models ────────────────┼──made_from, and what that was made from──▶ needed: stays
    used by a run that still works ─┤                                             the rest may go
    used a short while ago ─────────┘

Nothing is judged by a name or an age alone: a result may go when no recipe would find it, nobody is shown it, and
nothing that stays was made from its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tonsai_pipeline.errors import ManifestError, StorageError
from tonsai_pipeline.lineage.builder import Builder, all_dumps
from tonsai_pipeline.lineage.pipeline import Pipeline
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.layout import WHOLE, origin_url
from tonsai_pipeline.storage.manifest import Manifest, read_manifest
from tonsai_pipeline.storage.origin import open_origin
from tonsai_pipeline.storage.space import Folder

_MADE_FROM = ": what it was made from"
_UNNEEDED = "no recipe finds it, nothing that stays needs it"
_UNFINISHED = "unfinished, and no recipe would go on with it"
#: Kind of a run -> the stage that publishes what it makes.
_STAGES = {"pretrain": "pretrained_model", "sft": "sft_model"}


@dataclass(frozen=True)
class Verdict:
    """What becomes of a folder.

    Args:
        folder: The folder.
        stays: Whether it is needed.
        reason: Why it stays, or why nothing needs it.
    """

    folder: Folder
    stays: bool
    reason: str


@dataclass(frozen=True)
class Limits:
    """What is kept beside what recipes need.

    Args:
        used_since_s: What was used since then stays, in seconds since the epoch.
        lease_since_s: Since when a process works in the data root; None if none does.
        keep_models: Whether every finished model stays, with what it was made from, or only those that are shown.
        origin: URL of the data root, if it lies in an object store: then finished results here are copies.
    """

    used_since_s: float
    lease_since_s: float | None
    keep_models: bool = True
    origin: str | None = None


def judge(
    folders: Sequence[Folder],
    pipeline: Pipeline,
    builders: Mapping[str, Sequence[Builder]],
    limits: Limits,
) -> list[Verdict]:
    """Say of every folder whether it stays.

    Args:
        folders: All of one data root.
        pipeline: The stages.
        builders: Recipe name -> its builders: over the dumps of its catalog, and over those on the disk.
        limits: What else is kept.

    Raises:
        RecipeError: A recipe names a file that is not there.
    """
    manifests = {one.path: _manifest(one) for one in folders if one.kind == "artifact"}
    needed = _Needed(pipeline, manifests)
    resumable: dict[tuple[str, str, str], str] = {}
    for recipe, views in builders.items():
        for builder in views:
            _mark_recipe(builder, needed, resumable)
        _mark_shown(recipe, views, needed)
    _mark_folders(folders, pipeline, manifests, limits, needed)
    needed.add_sources()
    return [_verdict(one, manifests, needed, resumable, limits) for one in folders]


class _Needed:
    """Artifacts that stay, each with the first reason that was found."""

    def __init__(self, pipeline: Pipeline, manifests: Mapping[Path, Manifest | None]) -> None:
        self.reasons: dict[Path, str] = {}
        self._manifests = manifests
        self._reads = {
            stage.name: {read.stage for read in stage.reads.values()} for stage in pipeline
        }
        self._by_place = {"/".join(path.parts[-3:]): path for path in manifests}
        self._contents: set[tuple[str, str | None, str]] = set()

    def add(self, path: Path, reason: str) -> None:
        """Mark an artifact, if it can be read."""
        manifest = self._manifests.get(path)
        if manifest is not None and path not in self.reasons:
            self.reasons[path] = reason
            self._contents.add((manifest.asset, manifest.partition, manifest.data_version))

    def add_sources(self) -> None:
        """Mark what the marked ones were made from; of results with equal bytes one is enough."""
        waiting = list(self.reasons)
        while waiting:
            path = waiting.pop()
            reason = self.reasons[path]
            for source in self._sources(path):
                found = self._manifests[source]
                if found is None:
                    continue
                if (found.asset, found.partition, found.data_version) not in self._contents:
                    self.add(source, f"{reason.removesuffix(_MADE_FROM)}{_MADE_FROM}")
                    waiting.append(source)

    def _sources(self, path: Path) -> Iterator[Path]:
        manifest = self._manifests[path]
        assert manifest is not None, "only readable artifacts are marked"
        if manifest.made_from is not None:
            yield from (self._by_place[p] for p in manifest.made_from if p in self._by_place)
            return
        # Written before manifests said what they are made from: anything that its stage reads may have been.
        for source, found in self._manifests.items():
            if found is not None and found.asset in self._reads.get(manifest.asset, ()):
                yield source


def _mark_recipe(
    builder: Builder, needed: _Needed, resumable: dict[tuple[str, str, str], str]
) -> None:
    """Mark what a recipe would find, and name the work that it would go on with."""
    name = builder.recipe.name
    for stage in builder.pipeline:
        for dump in all_dumps(builder.dumps.versions, stage):
            artifact = builder.find(stage.name, dump)
            if artifact is not None:
                needed.add(artifact.folder, f"found by recipe {name}")
            elif (key := builder.key(stage.name, dump)) is not None:
                place = builder.store.layout.building(stage.name, dump, key)
                resumable[stage.name, dump or WHOLE, place.name] = name


def _mark_shown(recipe: str, builders: Sequence[Builder], needed: _Needed) -> None:
    """Mark what people are shown of a recipe, but of dumps that it has no more."""
    layout = builders[0].store.layout
    dumps = {str(key) for builder in builders for key in builder.dumps.versions}
    for pointer in sorted((layout.root / "current" / recipe).glob("*/*.json")):
        if pointer.stem == WHOLE or pointer.stem in dumps:
            needed.add(_pointed_to(layout.root, pointer), f"shown for recipe {recipe}")


def _mark_folders(
    folders: Sequence[Folder],
    pipeline: Pipeline,
    manifests: Mapping[Path, Manifest | None],
    limits: Limits,
    needed: _Needed,
) -> None:
    """Mark finished models, and what was used of late."""
    launched = {stage.name for stage in pipeline if stage.launched}
    for one in folders:
        if one.kind != "artifact" or manifests[one.path] is None:
            continue
        if limits.keep_models and one.asset in launched:
            needed.add(one.path, "a finished model or its evaluation")
        elif (reason := _used(one, limits)) is not None:
            needed.add(one.path, reason)


def _used(folder: Folder, limits: Limits) -> str | None:
    if limits.lease_since_s is not None and folder.used_s >= limits.lease_since_s:
        return "used since a run began that still works"
    return "used of late" if folder.used_s >= limits.used_since_s else None


def _verdict(
    folder: Folder,
    manifests: Mapping[Path, Manifest | None],
    needed: _Needed,
    resumable: Mapping[tuple[str, str, str], str],
    limits: Limits,
) -> Verdict:
    if limits.origin is not None and folder.kind in ("artifact", "fetched"):
        reason = _used(folder, limits)
        useless = f"a copy of what {limits.origin} has: fetched again when it is opened"
    elif folder.kind == "artifact":
        reason = needed.reasons.get(folder.path)
        is_damaged = manifests[folder.path] is None
        useless = "damaged: no stage would open it" if is_damaged else _UNNEEDED
    else:
        place = (_STAGES.get(folder.asset, folder.asset), folder.partition or WHOLE, folder.name)
        root = folder.path.parents[2]
        is_published = folder.kind == "run" and (
            manifests.get(root.joinpath("artifacts", *place)) is not None
            or (
                (origin := open_origin(root)) is not None
                and origin.find("/".join(place)) is not None
            )
        )
        useless = "checkpoints of a model that is finished" if is_published else _UNFINISHED
        reason = _used(folder, limits)
        if reason is None and place in resumable:
            reason = f"recipe {resumable[place]} would go on with it"
        if reason is None and not is_published and limits.keep_models and _has_model(folder):
            reason = "a finished model, not published yet"
    return Verdict(folder, stays=reason is not None, reason=reason or useless)


def _has_model(folder: Folder) -> bool:
    return folder.kind == "run" and (folder.path / "model").is_dir()


def forget_cleared(root: Path) -> None:
    """Remove the files in `current/` that point to what is gone."""
    if origin_url(root) is not None:  # it is in the store
        return
    for pointer in (root / "current").glob("*/*/*.json"):
        if not _pointed_to(root, pointer).is_dir():
            pointer.unlink()


def _pointed_to(root: Path, pointer: Path) -> Path:
    value: Any = read_json(pointer)
    return root / value["path"]


def _manifest(folder: Folder) -> Manifest | None:
    try:
        return read_manifest(folder.path)
    except (ManifestError, StorageError):
        return None
