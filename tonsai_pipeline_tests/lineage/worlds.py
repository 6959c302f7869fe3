"""A small corpus on the disk and its recipe, built through the product's own declarations; what was made is noted.

World(folder) ──edit files, sections──▶ build() ──▶ artifacts of every asset up to packed_shards, names of made stages
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.pipeline import PIPELINE, dumps_on_disk, open_builder
from tonsai_pipeline.recipe import Recipe, parse_recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose

DUMP_ASSETS = tuple(s.name for s in PIPELINE.assets() if s.each_dump)
CORPUS_ASSETS = tuple(
    s.name for s in PIPELINE.assets() if not s.each_dump and not s.launched and s.of_recipe is None
)
SECTIONS: dict[str, Any] = {
    "quality": {"word_lists": {"eng": "words.txt"}, "eng": {"max_listed_word_frac": 0.02}},
    "mixture": {"languages": {"khm": 0.5, "eng": 0.5}, "validation": {"frac": 0.2}},
    "tokenizer": {"vocab_size": 600, "compare_gpt2": False},
    "packing": {"seq_len": 64},
}


class NotingStore(Store):
    """A store that notes for whom work was done."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.made: list[tuple[str, str | None]] = []

    def materialize(
        self,
        asset: str,
        partition: str | None,
        key: str,
        make: Callable[[Path], object],
        **described: Any,
    ) -> Artifact:
        def noting(folder: Path) -> object:
            self.made.append((asset, partition))
            return make(folder)

        return super().materialize(asset, partition, key, noting, **described)


class World:
    """Sources `khm_news`, `eng_news` and `eng_web`, each a folder of files, and what a person may do to them.

    Args:
        folder: Where data and store are.
        engine: Where parts are made.
        name: Name of the recipe.
    """

    def __init__(self, folder: Path, engine: Engine, *, name: str = "edits") -> None:
        self.folder, self.engine, self.name = folder, engine, name
        self.store = NotingStore(Layout(folder / "home", name))
        self.langs = {"khm_news": "khm", "eng_news": "eng", "eng_web": "eng"}
        self.sections = json.loads(json.dumps(SECTIONS))

    def fill(self, num_docs: int = 24) -> None:
        """Write the corpus: a file a source, and a word list that matches nothing."""
        for number, source in enumerate(self.langs):
            write = _khmer if source.startswith("khm") else english_prose
            self.write(
                source, "b.jsonl", [write(8, 1000 * number + 40 + n) for n in range(num_docs)]
            )
        self.words("nowhere-to-be-found")

    def write(self, source: str, file: str, texts: Iterable[str]) -> Path:
        """Write a file of a source."""
        path = self.folder / "data" / source / file
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
        path.write_text("".join(lines), encoding="utf-8")
        return path

    def words(self, *listed: str) -> None:
        """Write the word list."""
        (self.folder / "data" / "words.txt").write_text("".join(f"{word}\n" for word in listed))

    @property
    def recipe(self) -> Recipe:
        """The recipe as it is now."""
        sources = [
            {"name": name, "lang": lang, "path": f"{name}/*.jsonl"}
            for name, lang in self.langs.items()
        ]
        raw = {"name": self.name, "sources": sources, **self.sections}
        return parse_recipe(raw, where="edits.yaml", folder=self.folder / "data")

    def builder(self, store: Store | None = None) -> Builder:
        """Return a builder of the recipe and the dumps as they are now."""
        recipe, store = self.recipe, store or self.store
        dumps = dumps_on_disk(recipe, store, self.folder / "data")
        return open_builder(recipe, store, dumps, engine=lambda: self.engine)

    def build(self, *, up_to: str = "packed_shards") -> set[str]:
        """Bring the dumps up to date and then the corpus, and return the stages that were made."""
        before = len(self.store.made)
        bring_up_to_date(self.builder(), up_to)
        return {name for name, _ in self.store.made[before:]}

    def versions(self) -> dict[tuple[str, DumpKey | None], str]:
        """Return the data version of every finished asset of the state as it is."""
        return versions_of(self.builder())

    def fresh_versions(self) -> dict[tuple[str, DumpKey | None], str]:
        """Build the state as it is in an empty store."""
        store = Store(Layout(self.folder / "fresh", self.name))
        shutil.rmtree(store.layout.root, ignore_errors=True)
        builder = self.builder(store)
        bring_up_to_date(builder)
        return versions_of(builder)

    def sides(self) -> dict[str, str]:
        """Return the split of every document of the mixture by its text."""
        found = {}
        builder = self.builder()
        for dump in builder.dumps.versions:
            mixed = builder.build("mixture_documents", dump)
            texts = builder.build("normalized_documents", dump)
            for part in mixed.parts():
                pointers = read_part(part).to_pylist()
                said = read_part(texts.path / part.name)["text"].to_pylist()
                found |= {said[row["row_in_part"]]: row["split"] for row in pointers}
        return found


def _khmer(num_sentences: int, seed: int) -> str:
    """Write Khmer prose that has a subscript da, which `normalize.coeng_da` decides about."""
    return f"{khmer_prose(num_sentences, seed)} កណ្ដាល"


def bring_up_to_date(builder: Builder, up_to: str = "packed_shards") -> None:
    """Make the assets of every dump, and those of the corpus up to one of them."""
    for dump in builder.dumps.versions:
        for name in DUMP_ASSETS:
            builder.build(name, dump)
    build_corpus(builder, CORPUS_ASSETS[: CORPUS_ASSETS.index(up_to) + 1])


def build_corpus(builder: Builder, names: Iterable[str]) -> None:
    """Make assets of the whole corpus, as the job of that name does."""
    for name in names:
        builder.build(name)


def versions_of(builder: Builder) -> dict[tuple[str, DumpKey | None], str]:
    """Return the data version of every finished asset by name and dump."""
    wanted = [
        *((name, dump) for name in DUMP_ASSETS for dump in builder.dumps.versions),
        *((name, None) for name in CORPUS_ASSETS),
    ]
    found = {one: builder.find(*one) for one in wanted}
    return {one: artifact.data_version for one, artifact in found.items() if artifact is not None}
