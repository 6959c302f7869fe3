"""Small mixtures for stage tests: seeded Khmer and English texts -> normalized and training_mixture artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tonsai_pipeline.schema import MIXTURE_DOCUMENTS
from tonsai_pipeline.storage.documents import read_part, write_part
from tonsai_pipeline.storage.files import digest_json, write_json
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.text import normalize
from tonsai_pipeline_tests.stages.corpora import normalized_dump

_CONSONANTS = "កខគឃងចឆជញដតថទធនបផពភមយរលវសហឡអ"
_VOWELS = ("", "", "ា", "ិ", "ី", "ុ", "ូ", "េ", "ែ", "ំ", "ាំ", "ះ")
_LETTERS = "eeettaoinshrdlu"


class Mixture(NamedTuple):
    """A training_mixture and the texts it points into."""

    mixture: Artifact
    normalized: dict[str, Artifact]


def khmer_words(seed: int, num_words: int = 400) -> list[str]:
    """Make words of one to four clusters, some with subscripts."""
    dice = np.random.default_rng(seed)

    def cluster() -> str:
        base = dice.choice(list(_CONSONANTS))
        subscript = "្" + dice.choice(list("រមយលនក")) if dice.random() < 0.2 else ""
        return normalize(base + subscript + dice.choice(_VOWELS))

    return ["".join(cluster() for _ in range(dice.integers(1, 5))) for _ in range(num_words)]


def english_words(seed: int, num_words: int = 400) -> list[str]:
    """Make words of two to nine letters."""
    dice = np.random.default_rng(seed)
    return [
        "".join(dice.choice(list(_LETTERS), size=dice.integers(2, 10))) for _ in range(num_words)
    ]


def khmer_texts(num_texts: int, seed: int, mean_words: int = 60) -> list[str]:
    """Write texts of a fixed vocabulary, Zipf-distributed; spaces part phrases, a khan ends sentences."""
    dice, words = np.random.default_rng(seed), khmer_words(7)
    texts = []
    for _ in range(num_texts):
        chosen = dice.zipf(1.3, size=1 + int(dice.lognormal(np.log(mean_words), 0.8))) % len(words)
        pieces = [words[i] + dice.choice(["", "", "", " ", "។\n", " ១២ "]) for i in chosen]
        texts.append("".join(pieces))
    return texts


def english_texts(num_texts: int, seed: int, mean_words: int = 60) -> list[str]:
    """Write texts of a fixed vocabulary, Zipf-distributed."""
    dice, words = np.random.default_rng(seed), english_words(8)
    texts = []
    for _ in range(num_texts):
        chosen = dice.zipf(1.3, size=1 + int(dice.lognormal(np.log(mean_words), 0.8))) % len(words)
        texts.append(" ".join(words[i] for i in chosen) + dice.choice([".", "!\n", " 42"]))
    return texts


def build_mixture(
    store: Store,
    texts: Mapping[str, Sequence[str]],
    *,
    shares: Mapping[str, float] | None = None,
    rows_per_part: int = 40,
    every_nth_held_out: int = 8,
    every_nth_dropped: int = 5,
    max_epochs: float = 4.0,
    total_tokens: int | None = None,
    stages: Sequence[Mapping[str, Any]] | None = None,
    seed: int = 3,
) -> Mixture:
    """Write dumps and a mixture over them.

    Args:
        store: Where to.
        texts: Texts by dump key `<lang>_<name>@<date>`; `lang` is khm or eng.
        shares: Share of each source; None for even shares.
        rows_per_part: Documents a part.
        every_nth_held_out: Which documents are for validation; 0 for none.
        every_nth_dropped: Which documents are not in the mixture; 0 for none.
        max_epochs: Written to shares.json.
        total_tokens: Written to shares.json.
        stages: Written to shares.json; None for one stage with `shares`.
        seed: Written to shares.json.
    """
    normalized = {
        dump: normalized_dump(store, dump, said, rows_per_part=rows_per_part, rows_per_group=13)
        for dump, said in texts.items()
    }
    sources = list(dict.fromkeys(dump.split("@", maxsplit=1)[0] for dump in texts))
    wished = shares or dict.fromkeys(sources, 1 / len(sources))
    settings = {"held_out": every_nth_held_out, "dropped": every_nth_dropped}
    dumps = {
        dump: store.materialize(
            "training_mixture.dump",
            dump,
            lambda folder, dump=dump: _write_pointers(normalized[dump], dump, folder, settings),
            stage_version="test",
            settings=settings,
            inputs={"normalized": normalized[dump].data_version},
        )
        for dump in texts
    }
    asked = {
        "languages": {"khm": 0.6, "eng": 0.4},
        "sources": {name: {"lang": name[:3], "share": wished[name]} for name in sources},
        "stages": stages or [{"frac": 1.0, "shares": wished}],
        "on_shortage": "redistribute",
        "max_epochs": max_epochs,
        "total_tokens": total_tokens,
        "seed": seed,
    }

    def make(folder: Path) -> dict[str, int]:
        paths = {dump: {"path": store.relative(artifact)} for dump, artifact in dumps.items()}
        write_json(folder / "dumps.json", paths)
        write_json(folder / "shares.json", asked)
        return {}

    inputs = {dump: artifact.data_version for dump, artifact in dumps.items()}
    mixture = store.materialize(
        "training_mixture",
        None,
        make,
        stage_version="test",
        settings={"shares": digest_json(asked)},
        inputs=inputs,
    )
    return Mixture(mixture, normalized)


def _write_pointers(
    normalized: Artifact, dump: str, folder: Path, settings: Mapping[str, int]
) -> dict[str, int]:
    held_out, dropped = settings["held_out"], settings["dropped"]
    for path in normalized.parts():
        table = read_part(path)
        rows = [r for r in range(table.num_rows) if not dropped or r % dropped != dropped - 1]
        kept = table.take(pa.array(rows, pa.int64()))
        validation = ["validation" if held_out and r % held_out == 1 else "train" for r in rows]
        columns = {
            "doc_id": kept["doc_id"],
            "row_in_part": pa.array(rows, pa.int32()),
            "source": kept["source"],
            "lang": pa.array([dump[:3]] * len(rows)),
            "num_bytes": kept["num_bytes"],
            "score": pa.array([0.5] * len(rows), pa.float32()),
            "split": pa.array(validation),
            "repeats": pa.array([1.0] * len(rows), pa.float32()),
        }
        columns = {name: columns[name] for name in MIXTURE_DOCUMENTS.names}
        write_part(
            folder / path.name, [pa.table(columns, schema=MIXTURE_DOCUMENTS)], MIXTURE_DOCUMENTS
        )
    return {}
