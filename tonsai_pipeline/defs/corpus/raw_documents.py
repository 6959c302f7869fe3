"""raw_documents: a dump in any known format as document parts; what could not be read is in quarantine."""

from collections.abc import Iterator

import dagster as dg

from tonsai_pipeline.defs.corpus.dump_catalog import RAW_DUMPS
from tonsai_pipeline.defs.partitions import DUMPS
from tonsai_pipeline.defs.resources import RunOptions, Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.sources import IngestConfig
from tonsai_pipeline.stages.catalog import find_dump
from tonsai_pipeline.stages.ingest import STAGE_VERSION, ingest, say_empty, say_losses
from tonsai_pipeline.storage.store import Artifact


def raw_documents(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="raw_documents",
        deps=[RAW_DUMPS],
        partitions_def=DUMPS,
        group_name="corpus",
        kinds={"parquet"},
        code_version=code_version(STAGE_VERSION, recipe.ingest),
        check_specs=[
            check_spec("raw_documents", "not_empty", "The dump holds documents", blocking=True),
            check_spec("raw_documents", "few_bad_rows", "Unreadable rows are few"),
            check_spec(
                "raw_documents",
                "files_read_whole",
                "No stretch of a file is lost beside single rows",
                blocking=True,
            ),
        ],
        description="One dump as documents, text untouched. Rows that could not be read are in `quarantine/` "
        "with file, position and reason.",
    )
    def _asset(
        context: dg.AssetExecutionContext, config: RunOptions, workspace: Workspace
    ) -> dg.MaterializeResult:
        store = workspace.store(recipe)
        dump, source = find_dump(
            recipe, store.layout, workspace.data_folder(), context.partition_key
        )
        artifact = store.materialize(
            "raw_documents",
            dump.key,
            lambda folder: ingest(
                dump, folder, source=source, config=recipe.ingest, engine=config.open_engine()
            ),
            stage_version=STAGE_VERSION,
            settings={"ingest": recipe.ingest.settings(), "source": source.reading_settings()},
            inputs={"raw_dumps": dump.version},
            force=config.force,
        )
        return materialized(artifact, checks=list(_checks(artifact, recipe.ingest)))

    return _asset


def _checks(artifact: Artifact, limits: IngestConfig) -> Iterator[dg.AssetCheckResult]:
    good, bad = artifact.report["num_documents"], artifact.report["num_bad_rows"]
    frac = bad / max(1, good + bad)
    yield check(
        "not_empty", good > 0, f"{good:,} documents" if good else say_empty(artifact.report)
    )
    yield check(
        "few_bad_rows",
        frac <= limits.max_bad_frac,
        f"{bad:,} bad rows ({frac:.2%}, allowed {limits.max_bad_frac:.0%}); see quarantine/",
        warn=True,
        bad_frac=frac,
    )
    lost_frac = artifact.report["max_lost_frac"]
    yield check(
        "files_read_whole",
        (1.0 if lost_frac is None else lost_frac) <= limits.max_lost_frac,
        say_losses(artifact.report, limits.max_lost_frac),
        max_lost_frac=1.0 if lost_frac is None else lost_frac,
    )
