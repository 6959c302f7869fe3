"""What is not made for a recipe and its dumps as they are: the one answer of CLI, sensors, schedules and checks.

recipe, dumps ──keys──▶ Missing(dumps: {dump: assets}, corpus: assets, models: assets)

It is decided from keys and folders; no run is started and no database asked. An asset is missing where no artifact
of its key is there, and where another one is current: a dump that was replaced and put back is made again by
pointing to what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from tonsai_pipeline.catalog.attempts import Attempts
from tonsai_pipeline.catalog.catalog import read_catalog
from tonsai_pipeline.errors import ManifestError
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.pipeline import CATALOG, PIPELINE
from tonsai_pipeline.publish import stage as publish
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.store import Artifact, Store

DUMP_ASSETS = tuple(stage.name for stage in PIPELINE.assets() if stage.each_dump)
"""Made once a dump."""

RELEASE_ASSETS = (publish.STAGE.name,)
"""Made where a recipe says under which licence its model is given to others."""

INSTRUCTION_ASSETS = tuple(
    s.name for s in PIPELINE.assets() if s.of_recipe is not None and s.name not in RELEASE_ASSETS
)
"""Made where a recipe has instruction data."""

MODEL_ASSETS = tuple(s.name for s in PIPELINE.assets() if s.launched and s.of_recipe is None)
"""Made by processes that the assets launch."""

CORPUS_ASSETS = (
    CATALOG,
    *(
        s.name
        for s in PIPELINE.assets()
        if not s.each_dump and not s.launched and s.of_recipe is None
    ),
)
"""Made from all dumps together; each keeps what it already knows of every dump."""

IsGood = Callable[[Builder, str, DumpKey, Artifact], bool]
"""Tells whether a finished artifact of a dump passes the checks that block."""


@dataclass(frozen=True)
class Missing:
    """Assets that are not made, or not current.

    Args:
        dumps: Those of single dumps by dump key, in catalog order; a dump that lacks nothing is not there.
        corpus: Those of the whole corpus, in order.
        models: Models and what is measured of them, in order.
        instructions: What is made from instruction data, in order.
        releases: What others are given.
        stopped: Dumps among them that failed for good and hold up the corpus, as the recipe says to stop at such, and
            why.
    """

    dumps: Mapping[DumpKey, tuple[str, ...]]
    corpus: tuple[str, ...]
    models: tuple[str, ...]
    instructions: tuple[str, ...]
    releases: tuple[str, ...]
    stopped: Mapping[DumpKey, str]


def find_missing(
    builder: Builder, *, is_good: IsGood = lambda *_: True, chosen: Iterable[str] | None = None
) -> Missing:
    """Look for every asset of a recipe.

    Args:
        builder: The recipe and its dumps.
        is_good: A dump whose artifact does not pass is missing.
        chosen: Assets to look for; None for all.
    """
    wanted = {stage.name for stage in PIPELINE.assets(builder.recipe)}
    if chosen is not None:
        wanted &= set(chosen)
    attempts = Attempts(builder.store.layout.attempts, builder.recipe)
    tried = attempts.keys()
    dumps: dict[DumpKey, tuple[str, ...]] = {}
    stopped: dict[DumpKey, str] = {}
    for dump, version in builder.dumps.versions.items():
        names = [name for name in DUMP_ASSETS if name in wanted]
        attempt = attempts.of(dump, version) if dump in tried else None
        if attempt is None:
            names = [name for name in names if not _is_made(builder, name, dump, is_good)]
        elif attempt.is_set_aside:
            stopped[dump] = attempt.reason
        # Else made perhaps, but nobody was told: the process was killed, or a check failed.
        if names:
            dumps[dump] = tuple(names)
    return Missing(
        dumps,
        tuple(n for n in CORPUS_ASSETS[1:] if n in wanted and not _is_made(builder, n)),
        tuple(n for n in MODEL_ASSETS if n in wanted and not _is_made(builder, n)),
        tuple(n for n in INSTRUCTION_ASSETS if n in wanted and not _is_made(builder, n)),
        tuple(n for n in RELEASE_ASSETS if n in wanted and not _is_made(builder, n)),
        stopped,
    )


def _is_made(
    builder: Builder, name: str, dump: DumpKey | None = None, is_good: IsGood | None = None
) -> bool:
    artifact = builder.find(name, dump)
    if artifact is None or not builder.store.is_current(name, dump, artifact):
        return False
    return is_good is None or dump is None or is_good(builder, name, dump, artifact)


def why_stale(builder: Builder, asset: str) -> str:
    """Say in what an asset of the corpus or a model lags behind the recipe and the dumps; empty if in nothing.

    Args:
        builder: The recipe, and the dumps as they lie on the disk.
        asset: Name of the asset.
    """
    if _is_made(builder, asset):
        return ""
    if _current(builder.store, asset) is None:
        return "not made yet"
    if dumps := _dump_changes(builder):
        return f"the corpus {dumps}"
    last_of_corpus = CORPUS_ASSETS[-1]
    if asset in MODEL_ASSETS and _is_made(builder, last_of_corpus):
        older = MODEL_ASSETS[0] if asset != MODEL_ASSETS[0] else ""
        if older and not _is_made(builder, older):
            return "the model is older than the corpus"
        return "older than the model" if older else "older than the corpus, or than its settings"
    return "older than what it is made from, or than its settings"


def _dump_changes(builder: Builder) -> str:
    """Compare the dumps of the corpus with those there are; empty if they are the same."""
    corpus = _current(builder.store, "deduplicated_documents")
    if corpus is None:
        return ""
    held = {DumpKey(dump) for dump in corpus.report["by_dump"]}
    there = set(builder.dumps.versions)
    catalog = _current(builder.store, CATALOG)
    listed = {} if catalog is None else read_catalog(catalog)
    now = builder.dumps.versions
    changed = {dump for dump in held & there if listed.get(dump) != now[dump]}
    said = [
        _say("lacks", there - held),
        _say("holds, though it is gone or switched off,", held - there),
        _say("holds another content of", changed),
    ]
    return "; ".join(filter(None, said))


def _say(verb: str, dumps: AbstractSet[str]) -> str:
    if not dumps:
        return ""
    shown = ", ".join(sorted(dumps)[:3])
    more = f" and {len(dumps) - 3:,} more" if len(dumps) > 3 else ""
    return f"{verb} {len(dumps):,} dump{'s' if len(dumps) > 1 else ''}: {shown}{more}"


def growth_of(store: Store) -> float | None:
    """Return by which share the packed tokens grew since the current model was trained; None without such a model.

    A corpus that shrank grew by a negative share.
    """
    model, shards = _current(store, MODEL_ASSETS[0]), _current(store, CORPUS_ASSETS[-1])
    if model is None or shards is None:
        return None
    for place in model.manifest.made_from or ():
        if place.startswith(f"{CORPUS_ASSETS[-1]}/"):
            before = store.at(store.layout.root / "artifacts" / place)
            return before and _num_tokens(shards) / max(1, _num_tokens(before)) - 1
    return None


def _num_tokens(shards: Artifact) -> int:
    return int(shards.report["num_tokens"])


def _current(store: Store, asset: str) -> Artifact | None:
    try:
        return store.current(asset)
    except ManifestError:
        return None
