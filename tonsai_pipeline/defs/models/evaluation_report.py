"""evaluation_report: what the model is worth on held-out text, and what it writes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.models.launcher import JobOptions, launch_job
from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.evaluate.spec import REPORT_NAME, STAGE_VERSION, EvalRun
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.train.launch import LaunchSpec
from tonsai_pipeline.train.spec import MODEL_NAME

_JOB = "tonsai_pipeline.evaluate.job"


def evaluation_report(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="evaluation_report",
        deps=["pretrained_model", "packed_shards"],
        group_name="models",
        kinds={"markdown"},
        pool="gpu",
        code_version=code_version(STAGE_VERSION, recipe.evaluate),
        check_specs=[
            check_spec(
                "evaluation_report", "bits_per_byte_fell", "Training helped in every language"
            )
        ],
        description="Loss, perplexity and bits per byte on held-out Khmer and English apart, before and after "
        "training, and texts from fixed prompts. `report.html` opens in a browser.",
    )
    def _asset(
        context: dg.AssetExecutionContext, config: JobOptions, workspace: Workspace
    ) -> dg.MaterializeResult:
        store = workspace.store(recipe)
        model, shards = store.current("pretrained_model"), store.current("packed_shards")

        def make(folder: Path) -> Mapping[str, Any]:
            run = EvalRun(
                name=recipe.name,
                evaluate=recipe.evaluate,
                model_dir=model.path / MODEL_NAME,
                shards_dir=shards.path,
                training_dir=model.path,
                untrained=recipe.model,
                seed=recipe.train.seed,
                coeng_da=recipe.normalize.coeng_da,
                output_dir=folder,
                fingerprint=model.data_version,
            )
            run_file = run.write()
            spec = LaunchSpec(_JOB, run_file, folder, launcher="python")
            launch_job(context, spec, config)
            # It names folders of this machine, which are no part of the result.
            run_file.unlink()
            report: Any = read_json(folder / REPORT_NAME)
            return {"languages": report["languages"], "samples": report["samples"][:6]}

        artifact = store.materialize(
            "evaluation_report",
            None,
            make,
            stage_version=STAGE_VERSION,
            settings={
                "evaluate": recipe.evaluate.settings(),
                "coeng_da": recipe.normalize.coeng_da,
            },
            inputs={"pretrained_model": model.data_version, "packed_shards": shards.data_version},
            force=config.force,
        )
        return materialized(artifact, metadata=_metadata(artifact), checks=list(_checks(artifact)))

    return _asset


def _metadata(artifact: Artifact) -> dict[str, Any]:
    languages = artifact.report["languages"]
    after = {lang: row["after"]["bits_per_byte"] for lang, row in languages.items()}
    before = {
        f"{lang}, untrained": row["before"]["bits_per_byte"] for lang, row in languages.items()
    }
    numbers = {f"val_bpb_{lang}": value for lang, value in after.items()}
    plot = bar_chart(
        dict(sorted((after | before).items())), title="Held-out text", unit="bits per byte"
    )
    page = dg.MetadataValue.path(str(artifact.path / "report.html"))
    return {"bits_per_byte": plot, "report": page, **numbers}


def _checks(artifact: Artifact) -> Iterator[dg.AssetCheckResult]:
    pairs = {
        lang: (row["before"]["bits_per_byte"], row["after"]["bits_per_byte"])
        for lang, row in artifact.report["languages"].items()
    }
    rose = [lang for lang, (before, after) in pairs.items() if after >= before]
    said = ", ".join(
        f"{lang} {before:.3f} to {after:.3f}" for lang, (before, after) in pairs.items()
    )
    yield check("bits_per_byte_fell", not rose, said, warn=True)
