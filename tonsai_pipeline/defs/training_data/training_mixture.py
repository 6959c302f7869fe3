"""training_mixture: the documents that may be trained on, split, with the shares that are wished."""

from collections.abc import Iterator

import dagster as dg

from tonsai_pipeline.defs.corpus.dump_catalog import data_versions, of_every_dump
from tonsai_pipeline.defs.partitions import EVERY_DUMP
from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages import mix_leaks
from tonsai_pipeline.stages.mix import STAGE_VERSION, mix
from tonsai_pipeline.storage.store import Artifact, Store


def training_mixture(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="training_mixture",
        deps=[
            "scored_documents",
            dg.AssetDep("normalized_documents", partition_mapping=EVERY_DUMP),
            dg.AssetDep("minhash_signatures", partition_mapping=EVERY_DUMP),
        ],
        group_name="training_data",
        kinds={"parquet"},
        code_version=code_version(STAGE_VERSION, recipe.mixture, recipe.sources),
        check_specs=[
            check_spec(
                "training_mixture",
                "every_language_has_text",
                "Each wished language has training and validation text",
                blocking=True,
            ),
            check_spec(
                "training_mixture",
                "splits_are_disjoint",
                "No held-out document is trained on, nor a copy of one",
                blocking=recipe.dedup.enabled,
            ),
            check_spec(
                "training_mixture",
                "splits_are_not_alike",
                "No near copy of a held-out document is trained on",
            ),
            check_spec(
                "training_mixture", "few_repeats", "No source is read more often than is worth it"
            ),
        ],
        description="Pointers to the documents of both splits, and the wished share of every source in tokens.",
    )
    def _asset(config: RunOptions, workspace: Workspace) -> dg.MaterializeResult:
        store = workspace.store(recipe)
        scored = store.current("scored_documents")
        artifact = store.materialize(
            "training_mixture",
            None,
            lambda folder: mix(
                scored,
                folder,
                sources=recipe.sources,
                config=recipe.mixture,
                engine=config.open_engine(),
                store=store,
                mask=recipe.quality.mask,
            ),
            stage_version=STAGE_VERSION,
            settings={
                "mask": sorted(recipe.quality.mask),
                "mixture": recipe.mixture.settings(),
                "sources": [[s.name, s.lang, s.weight] for s in recipe.sources],
            },
            inputs={"scored_documents": scored.data_version},
            force=config.force,
        )
        leaks = _find_leaks(artifact, store, recipe, config)
        return materialized(
            artifact,
            metadata=_plots(artifact) | {"split": leaks.report},
            checks=[*_checks(artifact), *_split_checks(leaks)],
        )

    return _asset


def _find_leaks(mixture: Artifact, store: Store, recipe: Recipe, config: RunOptions) -> Artifact:
    """Compare the splits, once for each mixture."""
    normalized = of_every_dump(store, "normalized_documents")
    signatures = of_every_dump(store, "minhash_signatures")
    return store.materialize(
        "training_mixture.leaks",
        None,
        lambda folder: mix_leaks.find_leaks(
            mixture,
            normalized,
            signatures,
            folder,
            config=recipe.dedup,
            engine=config.open_engine(),
            store=store,
        ),
        stage_version=mix_leaks.STAGE_VERSION,
        settings={"min_similarity": recipe.dedup.min_similarity},
        inputs={"training_mixture": mixture.data_version} | data_versions(signatures, "signatures"),
    )


def _plots(artifact: Artifact) -> dict[str, object]:
    rows = artifact.report["by_source"]
    sizes = {name: row["num_bytes"] / 1e6 for name, row in rows.items()}
    epochs = {name: row["estimated_epochs"] for name, row in rows.items()}
    shares = {name: row["estimated_share"] for name, row in rows.items()}
    wished = {name: row["share"] for name, row in rows.items()}
    return {
        "shares": bar_chart(
            shares, wished=wished, title="Share of tokens, estimated from bytes", unit="fraction"
        ),
        "text": bar_chart(sizes, title="Training text", unit="MB of UTF-8"),
        "passes": bar_chart(epochs, title="Passes over each source, estimated", unit="passes"),
    }


def _split_checks(leaks: Artifact) -> Iterator[dg.AssetCheckResult]:
    report = leaks.report
    same = max(report["num_shared_ids"], report["num_copies"])
    said = (
        f"{report['num_train']:,} training documents against {report['num_validation']:,} held out"
    )
    pairs = "; ".join(
        f"{pair['train']} ~ {pair['validation']} ({pair['similarity']})"
        for pair in report["examples"][:3]
    )
    yield check(
        "splits_are_disjoint", not same, f"{said}: {same} in both" + (f": {pairs}" if same else "")
    )
    near = report["num_near_copies"]
    yield check(
        "splits_are_not_alike",
        not near,
        f"{said}: {near} at {report['min_similarity']:g} or more alike"
        + (f": {pairs}" if near else ""),
        warn=True,
        num_near_copies=near,
    )


def _checks(artifact: Artifact) -> Iterator[dg.AssetCheckResult]:
    report = artifact.report
    held_out, warnings = report["num_validation"], report["warnings"]
    empty = [lang for lang, count in held_out.items() if not count]
    yield check(
        "every_language_has_text",
        report["num_documents"] > 0 and bool(held_out) and not empty,
        f"nothing held out: {', '.join(empty)}"
        if empty
        else f"{report['num_documents']:,} documents to train on, held out: {dict(held_out)}",
    )
    yield check(
        "few_repeats", not warnings, "; ".join(warnings) or "no source is stretched", warn=True
    )
