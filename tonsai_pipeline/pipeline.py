"""All stages of the product, and the builder that runs them for a recipe.

PIPELINE: raw_documents ▶ normalized_documents ▶ ... ▶ packed_shards ▶ pretrained_model ▶ evaluation_report
recipe, data root, dumps as the catalog or the disk has them ──open_builder──▶ Builder
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tonsai_pipeline.catalog.catalog import Catalog, find_dumps, read_catalog
from tonsai_pipeline.engine import Engine, open_engine
from tonsai_pipeline.evaluate import stage as evaluate
from tonsai_pipeline.lineage import Builder, DumpView, Pipeline, document
from tonsai_pipeline.lineage.builder import OnMade
from tonsai_pipeline.publish import stage as publish
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.stages.compare_splits import stage as compare_splits
from tonsai_pipeline.stages.decontaminate import stage as decontaminate
from tonsai_pipeline.stages.deduplicate import stage as deduplicate
from tonsai_pipeline.stages.drop_boilerplate import stage as drop_boilerplate
from tonsai_pipeline.stages.ingest import stage as ingest
from tonsai_pipeline.stages.mix import stage as mix
from tonsai_pipeline.stages.normalize import stage as normalize
from tonsai_pipeline.stages.pack import stage as pack
from tonsai_pipeline.stages.prepare_sft import stage as prepare_sft
from tonsai_pipeline.stages.read_instructions import stage as read_instructions
from tonsai_pipeline.stages.score import stage as score
from tonsai_pipeline.stages.sign import stage as sign
from tonsai_pipeline.stages.stream import stage as stream
from tonsai_pipeline.stages.tokenize import stage as tokenize
from tonsai_pipeline.stages.train_classifiers import stage as train_classifiers
from tonsai_pipeline.stages.train_tokenizer import stage as train_tokenizer
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.train import stage as train
from tonsai_pipeline.tune import stage as tune

CATALOG = "dump_catalog"
#: Version of what `dump_catalog` writes.
CATALOG_VERSION = "3"

PIPELINE = Pipeline(
    (
        stream.STAGE,
        ingest.STAGE,
        normalize.STAGE,
        sign.STAGE,
        *decontaminate.STAGES,
        *deduplicate.STAGES,
        *drop_boilerplate.STAGES,
        train_classifiers.STAGE,
        *score.STAGES,
        *mix.STAGES,
        compare_splits.STAGE,
        train_tokenizer.STAGE,
        *tokenize.STAGES,
        pack.STAGE,
        train.STAGE,
        evaluate.STAGE,
        read_instructions.STAGE,
        prepare_sft.STAGE,
        *tune.STAGES,
        publish.STAGE,
    )
)


def dumps_on_disk(recipe: Recipe, store: Store, data_folder: Path) -> DumpView:
    """Return the dumps as they are now: what an asset of a single dump is made from."""
    return view_of(find_dumps(recipe, store.layout, data_folder))


def view_of(catalog: Catalog) -> DumpView:
    """Return the dumps of a catalog that are used."""
    return DumpView({dump.key: dump.version for dump in catalog.enabled}, catalog.__getitem__)


def dumps_of_catalog(
    recipe: Recipe, store: Store, data_folder: Path, catalog: Artifact | None = None
) -> DumpView:
    """Return the dumps as the catalog has them: what an asset of the whole corpus is made from.

    Args:
        recipe: The recipe.
        store: Where artifacts are.
        data_folder: Where relative source paths start.
        catalog: The catalog; None for the current one.

    Raises:
        ManifestError: There is no catalog yet, and the recipe has sources.
    """
    if not recipe.sources:
        return dumps_on_disk(recipe, store, data_folder)
    versions = read_catalog(catalog or store.current(CATALOG))
    found: list[Catalog] = []

    def open_dump(key: DumpKey) -> object:
        if not found:
            found.append(find_dumps(recipe, store.layout, data_folder))
        return found[0][key]

    return DumpView(versions, open_dump)  # pyright: ignore[reportArgumentType]


def open_builder(
    recipe: Recipe,
    store: Store,
    dumps: DumpView,
    *,
    engine: Callable[[], Engine] = open_engine,
    on_made: OnMade | None = None,
) -> Builder:
    """Return the builder of a recipe's artifacts over some dumps."""
    return Builder(PIPELINE, recipe, store, dumps, engine=engine, on_made=on_made)


if __name__ == "__main__":
    sys.stdout.write(document.page(PIPELINE))
