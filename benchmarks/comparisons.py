"""JSON of the single benchmarks -> rows of one table: what, on what, ours, the peer's, how many times.

python -m benchmarks.X --json ──Comparison.rows──▶ Row, Row, ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple


class Row(NamedTuple):
    """Ours and a peer on the same input in the same run.

    `unit` is of both numbers: a speed, or what is used up, `MB of memory`, of which less is better.
    """

    what: str
    text: str
    ours: float
    peer: str
    theirs: float
    unit: str

    @property
    def ratio(self) -> float:
        """How many times ours is better."""
        return self.theirs / self.ours if self.unit == MEMORY else self.ours / self.theirs


Found = dict[str, Any]
"""What a benchmark prints with `--json`: results by section."""

SPEED, MEMORY = "MB/s of CPU", "MB of memory"


@dataclass(frozen=True)
class Comparison:
    """A section of a benchmark that measures peers.

    Args:
        module: Below `benchmarks`.
        section: What `--only` takes.
        rows: Makes rows of what `--json` prints.
        options: Further arguments.
    """

    module: str
    section: str
    rows: Callable[[Found], Iterator[Row]]
    options: tuple[str, ...] = ()


def _normalize(found: Found) -> Iterator[Row]:
    for row in found["speed"]:
        for peer in ("pheasa", "khmerspell", "khmernormalizer"):
            yield Row("normalize", row["file"], row["ours"], peer, row[peer], SPEED)


def _signatures(found: Found) -> Iterator[Row]:
    for lang, one in found["kernels"].items():
        text = f"{lang}, {one['mb']:.0f} MB"
        for peer, theirs in (
            ("datasketch", "datasketch_from_hashes"),
            ("rensa", "rensa_from_hashes"),
        ):
            ours = one["ours_from_hashes_mb_per_s"]
            yield Row("MinHash, from hashes", text, ours, peer, one[f"{theirs}_mb_per_s"], SPEED)
        for peer, name in (
            ("datasketch", "datasketch_from_strings_sha1"),
            ("rensa", "rensa_from_strings_batch"),
        ):
            ours = one["ours_from_text_mb_per_s"]
            theirs = 1 / (1 / one[f"{name}_mb_per_s"] + 1 / one["python_cuts_strings_mb_per_s"])
            yield Row("MinHash, from text", text, ours, peer, theirs, SPEED)


def _near_duplicates(found: Found) -> Iterator[Row]:
    for lang, one in found["datatrove"].items():
        speeds = {name: one["mb"] / one[name]["cpu_s"] for name in ("ours", "datatrove")}
        text = f"{lang}, {one['num_documents']:,} documents"
        yield Row(
            "near duplicates, raw to removed", text, speeds["ours"], "datatrove",
            speeds["datatrove"], SPEED,
        )  # fmt: skip


def _quality(found: Found) -> Iterator[Row]:
    for row in found["speed"]:
        text = f"{row['language']}, {row['peer documents']:,} documents"
        ours, theirs = row["ours MB/s on those"], row["datatrove MB/s"]
        yield Row("quality filters", text, ours, "datatrove", theirs, SPEED)


def _encoding(found: Found) -> Iterator[Row]:
    for lang in ("khm", "eng"):
        one = found["cpu"][lang]
        text = f"{lang}, {one['text MB']:.0f} MB"
        for further in ("", ", further text"):
            speeds = one[f"MB/s of CPU time{further}"]
            ours, theirs = speeds["text to shards"], speeds["encode_batch_fast"]
            yield Row(
                f"text to shards{further}", text, ours, "tokenizers, encoding alone", theirs, SPEED
            )


def _encoders(found: Found) -> Iterator[Row]:
    for lang, one in found["rivals"].items():
        text = f"{lang}, {one['text MB']:.0f} MB"
        for peer in ("tokenizers", "kitoken", "fastokens", "tokie"):
            if isinstance(one[peer], dict):
                differ = one[peer]["documents that differ"]
                name = f"{peer} ({differ} cut otherwise)" if differ else peer
                yield Row("our encoder", text, one["ours"]["MB/s"], name, one[peer]["MB/s"], SPEED)


def _whole(found: Found) -> Iterator[Row]:
    for lang, one in found.items():
        text = f"{lang}, {one['text MB']:.0f} MB"
        ours, theirs = one["ours"], one["datatrove"]
        for what, name in (
            ("raw to shards", "MB/s"),
            ("raw to shards, further text", "further MB/s"),
        ):
            yield Row(what, text, ours[name], "datatrove", theirs[name], SPEED)
        yield Row("raw to shards", text, ours["peak MB"], "datatrove", theirs["peak MB"], MEMORY)


def _packing(found: Found) -> Iterator[Row]:
    found = found["trl"]
    ours = found["ours"]
    text = f"{found['documents']:,} documents"
    for name in ("bfd_split", "bfd"):
        one = found[name]
        lost = f", {one['tokens lost'] / found['tokens']:.0%} lost" if one["tokens lost"] else ""
        peer = f"TRL {name} ({one['fill']:.1%} full{lost})"
        yield Row(
            "pack ids",
            text,
            ours["tokens/s of CPU"],
            peer,
            one["tokens/s of CPU"],
            "tokens/s of CPU",
        )


def _shards(found: Found) -> Iterator[Row]:
    yield Row(
        "text to shards, all cores", "both languages", found["speed"]["ours / datasets.map"],
        "datasets.map", 1.0, "relative",
    )  # fmt: skip


def _reading(found: Found) -> Iterator[Row]:
    for name, one in found["speed"].items():
        for peer in ("datasets", "datatrove"):
            # A text says why it cannot read the file, None that it has no such format.
            if isinstance(one[peer], float) and isinstance(one["ours"], float):
                text = f"{name}, {one['text_mb']:.0f} MB"
                yield Row("read", text, one["ours"], peer, one[peer], SPEED)


def _training(found: Found) -> Iterator[Row]:
    for rows, one in found.items():
        padded, packed = (
            one[name]["useful tokens/s"]
            for name in ("padded, one document a row", "packed, documents masked")
        )
        yield Row(
            "train, one core", rows.removeprefix("ways, "), packed, "padded, as HF Trainer", padded,
            "useful tokens/s",
        )  # fmt: skip


COMPARISONS = {
    "whole": Comparison("whole", "khm,eng", _whole),
    "normalize": Comparison("normalize", "speed", _normalize, ("--peer-kb", "30")),
    "read": Comparison("read", "speed", _reading),
    "signatures": Comparison("dedup", "kernels", _signatures),
    "near-duplicates": Comparison("dedup", "datatrove", _near_duplicates),
    "quality": Comparison("quality", "speed", _quality),
    "encoders": Comparison("encoders", "rivals", _encoders),
    "encode": Comparison("tokenize_pack", "cpu", _encoding, ("--repeats", "8")),
    "shards": Comparison("tokenize_pack", "speed", _shards),
    "packing": Comparison("tokenize_pack", "trl", _packing),
    "train": Comparison("train", "ways", _training),
}
