"""tokenizer: a Hugging Face tokenizer that is fair to Khmer, with a report for the eyes."""

import dagster as dg

from tonsai_pipeline.defs.corpus.dump_catalog import of_every_dump
from tonsai_pipeline.defs.partitions import EVERY_DUMP
from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.parallel_texts import parallel_versions
from tonsai_pipeline.stages.train_tokenizer import STAGE_VERSION, train_tokenizer


def tokenizer(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="tokenizer",
        deps=[
            "training_mixture",
            dg.AssetDep("normalized_documents", partition_mapping=EVERY_DUMP),
        ],
        group_name="training_data",
        kinds={"huggingface"},
        code_version=code_version(STAGE_VERSION, recipe.tokenizer, recipe.normalize),
        check_specs=[
            check_spec("tokenizer", "round_trip", "Decoding gives the text back", blocking=True),
        ],
        description="BPE over Khmer clusters and English words, trained on a sample balanced by content; "
        "opens with AutoTokenizer.",
    )
    def _asset(config: RunOptions, workspace: Workspace) -> dg.MaterializeResult:
        store = workspace.store(recipe)
        mixture = store.current("training_mixture")
        normalized = of_every_dump(store, "normalized_documents")
        artifact = store.materialize(
            "tokenizer",
            None,
            lambda folder: train_tokenizer(
                mixture,
                normalized,
                folder,
                config=recipe.tokenizer,
                normalize=recipe.normalize,
                engine=config.open_engine(),
                store=store,
            ),
            stage_version=STAGE_VERSION,
            settings={
                "tokenizer": recipe.tokenizer.settings(),
                "normalize": recipe.normalize.settings(),
            },
            inputs={
                "training_mixture": mixture.data_version,
                **parallel_versions(normalized, recipe.tokenizer.parallel),
            },
            force=config.force,
        )
        fertility = artifact.report["fertility"]
        held = {lang: row["bytes_per_token"] for lang, row in fertility.items()}
        changed = sum(row["num_changed"] for row in fertility.values())
        measured = sum(row["num_texts"] for row in fertility.values())
        return materialized(
            artifact,
            metadata={
                "fertility_plot": bar_chart(held, title="Held-out text", unit="bytes a token")
            },
            checks=[
                check(
                    "round_trip",
                    changed == 0,
                    f"{changed} of {measured} held-out documents changed by encoding and decoding",
                )
            ],
        )

    return _asset
