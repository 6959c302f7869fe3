"""packed_shards: fixed rows of tokens in training order, and a validation split a language."""

from collections.abc import Iterator

import dagster as dg

from tonsai_pipeline.defs.corpus.dump_catalog import of_every_dump
from tonsai_pipeline.defs.partitions import EVERY_DUMP
from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.pack import STAGE_VERSION, pack
from tonsai_pipeline.storage.store import Artifact

#: Half a percentage point between the wished and the realised share of a source.
_MAX_GAP = 0.005


def packed_shards(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="packed_shards",
        deps=[
            "training_mixture",
            "tokenizer",
            dg.AssetDep("normalized_documents", partition_mapping=EVERY_DUMP),
        ],
        group_name="training_data",
        kinds={"numpy"},
        code_version=code_version(STAGE_VERSION, recipe.packing),
        check_specs=[
            check_spec(
                "packed_shards", "no_token_lost", "Tokens in equal tokens out", blocking=True
            ),
            check_spec(
                "packed_shards", "shares_realised", "Realised shares are near the wished ones"
            ),
        ],
        description="Rows of token ids, whole documents where they fit, in the order of training.",
    )
    def _asset(config: RunOptions, workspace: Workspace) -> dg.MaterializeResult:
        store = workspace.store(recipe)
        mixture, tokens = store.current("training_mixture"), store.current("tokenizer")
        artifact = store.materialize(
            "packed_shards",
            None,
            lambda folder: pack(
                mixture,
                of_every_dump(store, "normalized_documents"),
                tokens,
                folder,
                config=recipe.packing,
                engine=config.open_engine(),
                store=store,
            ),
            stage_version=STAGE_VERSION,
            settings=recipe.packing.settings(),
            inputs={"training_mixture": mixture.data_version, "tokenizer": tokens.data_version},
            force=config.force,
        )
        sources = artifact.report["sources"]
        plot = bar_chart(
            {name: row["share"] for name, row in sources.items()},
            wished={name: row["wished_share"] for name, row in sources.items()},
            title="Share of training tokens",
            unit="fraction",
        )
        return materialized(artifact, metadata={"shares": plot}, checks=list(_checks(artifact)))

    return _asset


def _checks(artifact: Artifact) -> Iterator[dg.AssetCheckResult]:
    report = artifact.report
    planned = sum(row["num_tokens"] for row in report["sources"].values())
    packed = report["num_tokens"]
    yield check("no_token_lost", planned == packed, f"{planned:,} planned, {packed:,} packed")
    gaps = {
        name: abs(row["share"] - row["wished_share"]) for name, row in report["sources"].items()
    }
    worst = max(gaps, key=gaps.__getitem__)
    yield check(
        "shares_realised",
        gaps[worst] <= _MAX_GAP,
        f"largest gap {gaps[worst]:.4f} of all tokens, in {worst}",
        warn=True,
        gap=gaps[worst],
    )
