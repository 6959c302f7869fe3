"""Token store + shares -> which document is read at which place of the run.

    pointers, docs.npy of every part ──▶ DocumentTable ──budget, plan──▶ order of documents ──▶ RunPlan

Shares are realised here, in tokens of the tokenizer that is really used; the mixture has their targets.
"""

# pyarrow.compute makes its functions when it is loaded; no checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.mixture.budget import Budget, budget, round_to_total
from tonsai_pipeline.mixture.feasible import shortfalls, take_over
from tonsai_pipeline.mixture.plan import plan, random_keys
from tonsai_pipeline.mixture.split import hash_ids
from tonsai_pipeline.schema import DumpKey, Split
from tonsai_pipeline.stages.mix.texts import SHARES_NAME
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.store import Artifact

#: Sets the choice of a part of the documents apart from their order.
_PART_SALT = 1
#: One document of the mixture: the part its ids lie in, where, how many, and whose they are.
ENTRY = np.dtype(
    [
        ("part", "<i4"),
        ("source", "<i2"),
        ("language", "<i2"),
        ("held_out", "?"),
        ("repeats", "<f4"),
        ("start", "<i8"),
        ("num_tokens", "<i8"),
        ("num_bytes", "<i8"),
        ("key", "<u8"),
    ]
)


@dataclass(frozen=True)
class Shares:
    """What the mixture asks for (`shares.json`).

    Args:
        sources: Names, in order.
        languages: Language of each source.
        shares: Wished share of all tokens, by source.
        stages: Stretches of the run: its part of the run, and the share of each source in it.
        max_epochs: Most passes over each source.
        total_tokens: Length of the run, or None for the longest.
        on_shortage: What happens when a source cannot fill its share.
        seed: Seed of the order.
    """

    sources: tuple[str, ...]
    languages: tuple[str, ...]
    shares: Mapping[str, float]
    stages: tuple[tuple[float, Mapping[str, float]], ...]
    max_epochs: Mapping[str, float]
    total_tokens: int | None
    on_shortage: str
    seed: int


@dataclass(frozen=True)
class DocumentTable:
    """Every document of the mixture, in catalog order.

    Args:
        entries: `ENTRY` records, shape (num_docs,).
        id_files: File of ids of each part.
        languages: Names that `entries["language"]` indexes.
    """

    entries: npt.NDArray[np.void]
    id_files: tuple[Path, ...]
    languages: tuple[str, ...]


@dataclass(frozen=True)
class RunPlan:
    """The training documents in the order in which they are read, and why so many of each source.

    Args:
        order: Indices of entries, repeats included; int64.
        stage_ends: Where each stage of the run ends in `order`, ascending; the last is its length.
        budget: Targets and epochs by source.
        realised: Tokens of each source in `order`.
        shortfalls: Sources that give no token and languages that miss their share, with what would be feasible.
        num_canary_tokens: Tokens in `order` that belong to no source: see `canaries.py`.
    """

    order: npt.NDArray[np.int64]
    stage_ends: tuple[int, ...]
    budget: Budget
    realised: Mapping[str, int]
    shortfalls: tuple[str, ...] = ()
    num_canary_tokens: int = 0


def read_shares(mixture: Artifact) -> Shares:
    """Read what the mixture asks for."""
    raw = cast("dict[str, Any]", read_json(mixture.path / SHARES_NAME))
    most = raw["max_epochs"]
    return Shares(
        sources=tuple(raw["sources"]),
        languages=tuple(entry["lang"] for entry in raw["sources"].values()),
        shares={name: float(entry["share"]) for name, entry in raw["sources"].items()},
        stages=tuple((stage["frac"], stage["shares"]) for stage in raw["stages"]),
        max_epochs=most if isinstance(most, dict) else dict.fromkeys(raw["sources"], float(most)),
        total_tokens=raw["total_tokens"],
        on_shortage=raw.get("on_shortage", "redistribute"),
        seed=int(raw["seed"]),
    )


def read_documents(
    pointers: Mapping[DumpKey, Artifact], tokens: Mapping[DumpKey, Artifact], shares: Shares
) -> DocumentTable:
    """Gather every document of the mixture.

    Args:
        pointers: Documents of the mixture by dump, in catalog order.
        tokens: Token store by dump.
        shares: What the mixture asks for.

    Raises:
        DataError: A source of the documents is not in `shares.json`.
    """
    tables, id_files = [], []
    languages = tuple(dict.fromkeys(shares.languages))
    for dump, dump_pointers in pointers.items():
        for path in dump_pointers.parts():
            documents = np.load(tokens[dump].path / f"{path.stem}.docs.npy")
            table = _read_part(path, documents, shares, languages)
            table["part"] = len(id_files)
            id_files.append(tokens[dump].path / f"{path.stem}.ids.bin")
            tables.append(table)
    entries = np.concatenate(tables) if tables else np.zeros(0, dtype=ENTRY)
    return DocumentTable(entries, tuple(id_files), languages)


def take_part(table: DocumentTable, shares: Shares, frac: float) -> tuple[DocumentTable, Shares]:
    """Keep a part of the training documents, and of the run's length; held-out documents stay.

    Args:
        table: Every document.
        shares: What the mixture asks for.
        frac: Share of the documents, above 0; a smaller part lies in every larger one.
    """
    if frac == 1.0:
        return table, shares
    entries = table.entries
    in_part = random_keys(shares.seed, _PART_SALT, items=entries["key"]) / 2.0**64 < frac
    total = shares.total_tokens and max(1, round(shares.total_tokens * frac))
    return (
        replace(table, entries=entries[entries["held_out"] | in_part]),
        replace(shares, total_tokens=total),
    )


def plan_run(table: DocumentTable, shares: Shares, where: Path) -> RunPlan:
    """Decide how often each source is read, and in which order.

    Raises:
        DataError: The shares do not fit the tokens there are; the message says what would.
    """
    entries = table.entries
    chosen = np.flatnonzero(~entries["held_out"] & (entries["repeats"] > 0))
    source = entries["source"][chosen].astype(np.int64)
    counts = np.bincount(source, entries["num_tokens"][chosen], minlength=len(shares.sources))
    available = dict(zip(shares.sources, counts.astype(np.int64).tolist(), strict=True))
    try:
        targets = budget(
            available,
            shares.shares,
            total_tokens=shares.total_tokens,
            max_epochs=shares.max_epochs,
            groups=dict(zip(shares.sources, shares.languages, strict=True)),
            on_shortage=cast("Any", shares.on_shortage),
        )
        plan_for = partial(
            plan,
            entries["num_tokens"][chosen],
            source,
            seed=shares.seed,
            repeats=entries["repeats"][chosen],
            keys=entries["key"][chosen],
        )
        asked = _stage_targets(targets, shares)
        run = plan_for(asked)
        most = [available[name] * shares.max_epochs[name] for name in shares.sources]
        moved = take_over(asked, run.realised_tokens, shares.languages, np.array(most, np.int64))
        if (moved != asked).any():
            run = plan_for(moved)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    realised = dict(zip(shares.sources, run.realised_tokens.sum(axis=0).tolist(), strict=True))
    numbers = np.bincount(source, minlength=len(shares.sources)).tolist()
    missed = shortfalls(
        targets.target_tokens,
        realised,
        {
            n: lang
            for n, lang in zip(shares.sources, shares.languages, strict=True)
            if n in targets.target_tokens
        },
        dict(zip(shares.sources, numbers, strict=True)),
        available,
    )
    ends = np.searchsorted(run.stage, np.arange(len(shares.stages)), side="right")
    return RunPlan(chosen[run.order], tuple(ends.tolist()), targets, realised, tuple(missed))


def _stage_targets(targets: Budget, shares: Shares) -> npt.NDArray[np.int64]:
    """Divide the tokens of each source among the stages of the run, as the stages' shares ask.

    Returns:
        Tokens, shape (num_stages, num_sources); each column sums to the target of its source.
    """
    tokens = np.zeros((len(shares.stages), len(shares.sources)), dtype=np.int64)
    for place, name in enumerate(shares.sources):
        target = targets.target_tokens.get(name, 0)
        shares_of_stages = [frac * stage.get(name, 0.0) for frac, stage in shares.stages]
        if target > 0:
            exact = {
                str(n): target * part / sum(shares_of_stages)
                for n, part in enumerate(shares_of_stages)
            }
            tokens[:, place] = list(round_to_total(exact, target).values())
    return tokens


def held_out(table: DocumentTable, language: int) -> npt.NDArray[np.int64]:
    """Return the validation documents of a language, in catalog order."""
    entries = table.entries
    return np.flatnonzero(entries["held_out"] & (entries["language"] == language))


def _read_part(
    path: Path, documents: npt.NDArray[np.void], shares: Shares, languages: Sequence[str]
) -> npt.NDArray[np.void]:
    """Join pointers and token counts of one part."""
    pointers = read_part(path, ["doc_id", "source", "lang", "split", "repeats"])
    table = np.zeros(len(documents), dtype=ENTRY)
    if pointers.num_rows != len(documents):
        raise DataError(f"{path}: {pointers.num_rows} documents, {len(documents)} tokenized")
    names = pointers["source"].unique().to_pylist()
    unknown = sorted(set(names) - set(shares.sources))
    if unknown:
        raise DataError(f"{path}: source '{unknown[0]}' is not in {SHARES_NAME}; run mix again")
    table["source"] = _places(pointers["source"], shares.sources)
    # A mixed page counts for the language that its source was taken for.
    of_source = np.array([languages.index(lang) for lang in shares.languages])
    language = _places(pointers["lang"], languages)
    table["language"] = np.where(language < 0, of_source[table["source"]], language)
    table["held_out"] = _places(pointers["split"], [Split.VALIDATION]) == 0
    table["repeats"] = pointers["repeats"].to_numpy()
    table["start"][1:] = documents["end"][:-1]
    table["num_tokens"] = documents["end"] - table["start"]
    table["num_bytes"] = documents["num_bytes"]
    table["key"] = hash_ids(pointers["doc_id"].to_pylist(), seed=shares.seed)
    return table


def _places(column: pa.ChunkedArray, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return where each value of a column stands among names, -1 for elsewhere, shape (num_rows,)."""
    found = pc.index_in(column, value_set=pa.array(names, pa.string()))
    return found.fill_null(-1).to_numpy().astype(np.int64)
