"""JSON of the single benchmarks -> rows of one table: what, on what, ours, the peer's, how many times.

python -m benchmarks.X --json ──Comparison.rows──▶ Row, Row, ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple


class Row(NamedTuple):
    """Ours and a peer on the same input in the same run; both numbers are speeds, larger is better."""

    what: str
    text: str
    ours: float
    peer: str
    theirs: float
    unit: str


@dataclass(frozen=True)
class Comparison:
    """A section of a benchmark that measures peers.

    Args:
        module: Below `benchmarks`.
        section: What `--only` takes.
        rows: Makes rows of the section's JSON.
        options: Further arguments.
    """

    module: str
    section: str
    rows: Callable[[Any], Iterator[Row]]
    options: tuple[str, ...] = ()


def _normalize(found: list[dict[str, Any]]) -> Iterator[Row]:
    for row in found:
        for peer in ("pheasa", "khmerspell", "khmernormalizer"):
            yield Row("normalize", row["file"], row["ours"], peer, row[peer], "MB/s of CPU")


def _signatures(found: dict[str, dict[str, float]]) -> Iterator[Row]:
    for lang, one in found.items():
        text = f"{lang}, {one['mb']:.0f} MB"
        for peer, theirs in (
            ("datasketch", "datasketch_from_hashes"),
            ("rensa", "rensa_from_hashes"),
        ):
            ours = one["ours_from_hashes_mb_per_s"]
            yield Row(
                "MinHash, from hashes", text, ours, peer, one[f"{theirs}_mb_per_s"], "MB/s of CPU"
            )
        for peer, name in (
            ("datasketch", "datasketch_from_strings_sha1"),
            ("rensa", "rensa_from_strings_batch"),
        ):
            ours = one["ours_from_text_mb_per_s"]
            theirs = 1 / (1 / one[f"{name}_mb_per_s"] + 1 / one["python_cuts_strings_mb_per_s"])
            yield Row("MinHash, from text", text, ours, peer, theirs, "MB/s of CPU")


def _near_duplicates(found: dict[str, dict[str, Any]]) -> Iterator[Row]:
    for lang, one in found.items():
        speeds = {name: one["mb"] / one[name]["cpu_s"] for name in ("ours", "datatrove")}
        text = f"{lang}, {one['num_documents']:,} documents"
        yield Row(
            "near duplicates, raw to removed", text, speeds["ours"], "datatrove",
            speeds["datatrove"], "MB/s of CPU",
        )  # fmt: skip


def _quality(found: list[dict[str, Any]]) -> Iterator[Row]:
    for row in found:
        text = f"{row['language']}, {row['peer documents']:,} documents"
        ours, theirs = row["ours MB/s on those"], row["datatrove MB/s"]
        yield Row("quality filters", text, ours, "datatrove", theirs, "MB/s of CPU")


def _encoding(found: dict[str, Any]) -> Iterator[Row]:
    for lang in ("khm", "eng"):
        one = found[lang]
        speeds, text = one["MB/s of CPU time"], f"{lang}, {one['text MB']:.0f} MB"
        theirs = speeds["encode_batch_fast"]
        for what in ("our encoder", "text to shards"):
            yield Row(what, text, speeds[what], "tokenizers", theirs, "MB/s of CPU")


def _shards(found: dict[str, Any]) -> Iterator[Row]:
    yield Row(
        "text to shards, all cores", "both languages", found["ours / datasets.map"],
        "datasets.map", 1.0, "relative",
    )  # fmt: skip


def _reading(found: dict[str, dict[str, Any]]) -> Iterator[Row]:
    for name, one in found.items():
        for peer in ("datasets", "datatrove"):
            # A text says why it cannot read the file, None that it has no such format.
            if isinstance(one[peer], float) and isinstance(one["ours"], float):
                text = f"{name}, {one['text_mb']:.0f} MB"
                yield Row("read", text, one["ours"], peer, one[peer], "MB/s of CPU")


def _training(found: dict[str, Any]) -> Iterator[Row]:
    for seq_len, one in found.items():
        padded, packed = (
            one[name]["useful tokens/s"]
            for name in ("padded, one document a row", "packed, documents masked")
        )
        yield Row(
            "train, one core", f"rows of {seq_len}", packed, "padded, as HF Trainer", padded,
            "useful tokens/s",
        )  # fmt: skip


COMPARISONS = {
    "normalize": Comparison("normalize", "speed", _normalize, ("--peer-kb", "30")),
    "read": Comparison("read", "speed", _reading),
    "signatures": Comparison("dedup", "kernels", _signatures),
    "near-duplicates": Comparison("dedup", "datatrove", _near_duplicates),
    "quality": Comparison("quality", "speed", _quality),
    "encode": Comparison("tokenize_pack", "cpu", _encoding),
    "shards": Comparison("tokenize_pack", "speed", _shards),
    "train": Comparison("train", "ways", _training),
}
