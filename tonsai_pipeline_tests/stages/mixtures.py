"""Small mixtures for stage tests: seeded Khmer and English texts, mixed, behind which the product's own stages follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Builder, Stage, every_dump, same_dump
from tonsai_pipeline.schema import MIXTURE_DOCUMENTS, DumpKey
from tonsai_pipeline.stages.mix.shares import mixed_sources
from tonsai_pipeline.stages.mix.texts import CHOSEN
from tonsai_pipeline.stages.pack.stage import STAGE as PACK
from tonsai_pipeline.stages.tokenize.stage import STAGES as TOKENIZE
from tonsai_pipeline.stages.train_tokenizer.stage import STAGE as TOKENIZER
from tonsai_pipeline.storage.documents import read_part, write_part
from tonsai_pipeline.storage.files import digest_json, write_json
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.text import normalize
from tonsai_pipeline_tests.stages.corpora import normalized_stage
from tonsai_pipeline_tests.stages.harness import Workshop

_CONSONANTS = "កខគឃងចឆជញដតថទធនបផពភមយរលវសហឡអ"
_VOWELS = ("", "", "ា", "ិ", "ី", "ុ", "ូ", "េ", "ែ", "ំ", "ាំ", "ះ")
_LETTERS = "eeettaoinshrdlu"


@dataclass(frozen=True)
class Mixture:
    """Texts by dump `<lang>_<name>@<date>`, which are used for what, and what shares.json asks for."""

    texts: Mapping[str, Sequence[str]]
    shares: Mapping[str, Any]
    rows_per_part: int
    every_nth_held_out: int
    every_nth_dropped: int

    def builder(self, store: Store, engine: Engine, **sections: Any) -> Builder:
        """Return a builder with the mixture made."""
        workshop = Workshop(store, engine, self._stages())
        contents = {dump: list(said) for dump, said in self.texts.items()}
        weights = {name: one["share"] for name, one in self.shares["sources"].items()}
        return workshop.builder(contents, weights=weights, **sections)

    def _stages(self) -> tuple[Stage, ...]:
        def point(normalized: Artifact, folder: Path, *, engine: Engine) -> dict[str, int]:
            del engine
            return _write_pointers(normalized, folder, self)

        def ask(mixed: Mapping[DumpKey, Artifact], folder: Path, *, engine: Engine) -> dict:
            del engine
            write_json(folder / "shares.json", self.shares)
            return {}

        asked = digest_json(self.shares)
        version = f"test {self.every_nth_held_out} {self.every_nth_dropped}"
        normalized = {"normalized": same_dump("normalized_documents")}
        mixed = {"mixed": every_dump("mixture_documents", of=mixed_sources)}
        return (
            normalized_stage(self.rows_per_part, 13),
            Stage("mixture_documents", version, point, {}, normalized, True),
            Stage("training_mixture", asked, ask, {}, mixed, part_of="invented"),
            CHOSEN,
            replace(TOKENIZER, part_of="invented"),
            *TOKENIZE,
            PACK,
        )


def khmer_words(seed: int, num_words: int = 400) -> list[str]:
    """Make words of one to four clusters, some with subscripts."""
    rng = np.random.default_rng(seed)

    def cluster() -> str:
        base = rng.choice(list(_CONSONANTS))
        subscript = "្" + rng.choice(list("រមយលនក")) if rng.random() < 0.2 else ""
        return normalize(base + subscript + rng.choice(_VOWELS))

    return ["".join(cluster() for _ in range(rng.integers(1, 5))) for _ in range(num_words)]


def english_words(seed: int, num_words: int = 400) -> list[str]:
    """Make words of two to nine letters."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(_LETTERS), size=rng.integers(2, 10))) for _ in range(num_words)]


def khmer_texts(num_texts: int, seed: int, mean_words: int = 60) -> list[str]:
    """Write texts of a fixed vocabulary, Zipf-distributed; spaces part phrases, a khan ends sentences."""
    rng, words = np.random.default_rng(seed), khmer_words(7)
    texts = []
    for _ in range(num_texts):
        chosen = rng.zipf(1.3, size=1 + int(rng.lognormal(np.log(mean_words), 0.8))) % len(words)
        pieces = [words[i] + rng.choice(["", "", "", " ", "។\n", " ១២ "]) for i in chosen]
        texts.append("".join(pieces))
    return texts


def english_texts(num_texts: int, seed: int, mean_words: int = 60) -> list[str]:
    """Write texts of a fixed vocabulary, Zipf-distributed."""
    rng, words = np.random.default_rng(seed), english_words(8)
    texts = []
    for _ in range(num_texts):
        chosen = rng.zipf(1.3, size=1 + int(rng.lognormal(np.log(mean_words), 0.8))) % len(words)
        texts.append(" ".join(words[i] for i in chosen) + rng.choice([".", "!\n", " 42"]))
    return texts


def build_mixture(
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
    """Describe dumps and a mixture over them.

    Args:
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
    sources = list(dict.fromkeys(DumpKey(dump).source for dump in texts))
    targets = shares or dict.fromkeys(sources, 1 / len(sources))
    asked = {
        "languages": {"khm": 0.6, "eng": 0.4},
        "sources": {name: {"lang": name[:3], "share": targets[name]} for name in sources},
        "stages": stages or [{"frac": 1.0, "shares": targets}],
        "on_shortage": "redistribute",
        "max_epochs": max_epochs,
        "total_tokens": total_tokens,
        "seed": seed,
    }
    return Mixture(texts, asked, rows_per_part, every_nth_held_out, every_nth_dropped)


def _write_pointers(normalized: Artifact, folder: Path, mixture: Mixture) -> dict[str, int]:
    held_out, dropped = mixture.every_nth_held_out, mixture.every_nth_dropped
    language = str(normalized.manifest.partition)[:3]
    for path in normalized.parts():
        table = read_part(path)
        rows = [r for r in range(table.num_rows) if not dropped or r % dropped != dropped - 1]
        kept = table.take(pa.array(rows, pa.int64()))
        validation = ["validation" if held_out and r % held_out == 1 else "train" for r in rows]
        columns = {
            "doc_id": kept["doc_id"],
            "row_in_part": pa.array(rows, pa.int32()),
            "source": kept["source"],
            "lang": pa.array([language] * len(rows)),
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
