"""evaluation_report: what the model is worth: held-out text, the prompt suite, health, safety, and the gate."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.corpus.dump_catalog import of_every_dump
from tonsai_pipeline.defs.models.launcher import JobOptions, launch_job
from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.evaluate.spec import REPORT_NAME, RESULTS_NAME, STAGE_VERSION, EvalRun
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.held_out_texts import write_held_out
from tonsai_pipeline.stages.mixture_texts import mixture_parts
from tonsai_pipeline.storage.files import digest_file, read_json
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.train.launch import LaunchSpec
from tonsai_pipeline.train.spec import MODEL_NAME

_JOB = "tonsai_pipeline.evaluate.job"
#: Assets whose reports the page tells, beside those that have dumps.
_TOLD = (
    "deduplicated_documents",
    "scored_documents",
    "training_mixture",
    "tokenizer",
    "packed_shards",
)


def evaluation_report(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="evaluation_report",
        deps=["pretrained_model", "packed_shards", "training_mixture", "normalized_documents"],
        group_name="models",
        kinds={"html"},
        pool="gpu",
        code_version=code_version(STAGE_VERSION, recipe.evaluate),
        check_specs=[
            check_spec(
                "evaluation_report", "bits_per_byte_fell", "Training helped in every language"
            ),
            check_spec("evaluation_report", "gate", "The model may be given to others"),
        ],
        description="Bits per byte on held-out text, the Khmer prompt suite, health of what the model writes, "
        "memorization, safety, and the gate. `report.html` opens in a browser, `results.json` is for programs.",
    )
    def _asset(
        context: dg.AssetExecutionContext, config: JobOptions, workspace: Workspace
    ) -> dg.MaterializeResult:
        store = workspace.store(recipe)
        model, shards = store.current("pretrained_model"), store.current("packed_shards")

        mixture = store.current("training_mixture")
        normalized = of_every_dump(store, "normalized_documents")

        def make(folder: Path) -> Mapping[str, Any]:
            held_out = folder / "held_out.parquet"
            write_held_out(
                mixture,
                normalized,
                held_out,
                max_documents=recipe.evaluate.max_documents,
                store=store,
            )
            run = EvalRun(
                name=recipe.name,
                evaluate=recipe.evaluate,
                model_dir=model.path / MODEL_NAME,
                shards_dir=shards.path,
                training_dir=model.path,
                held_out=held_out,
                corpus=tuple(
                    (part.pointers, part.texts)
                    for part in mixture_parts(mixture, normalized, store)
                ),
                reports=_reports(store),
                untrained=recipe.model,
                seed=recipe.train.seed,
                coeng_da=recipe.normalize.coeng_da,
                output_dir=folder,
                fingerprint=model.data_version,
            )
            run_file = run.write()
            spec = LaunchSpec(_JOB, run_file, folder, launcher="python")
            launch_job(context, spec, config)
            # They name folders of this machine, and hold text, which are no part of the result.
            run_file.unlink()
            held_out.unlink()
            results: Any = read_json(folder / RESULTS_NAME)
            return {
                "languages": results["languages"],
                "gate": results["gate"],
                "bits_per_byte": results["models"][0]["bits_per_byte"],
                "suite": results["models"][0]["suite"],
                "samples": results["samples"][:6],
            }

        artifact = store.materialize(
            "evaluation_report",
            None,
            make,
            stage_version=STAGE_VERSION,
            settings={
                "evaluate": recipe.evaluate.settings(),
                "coeng_da": recipe.normalize.coeng_da,
                "files": _files(recipe),
            },
            inputs={
                "pretrained_model": model.data_version,
                "packed_shards": shards.data_version,
                "training_mixture": mixture.data_version,
            },
            force=config.force,
        )
        return materialized(artifact, metadata=_metadata(artifact), checks=list(_checks(artifact)))

    return _asset


def _reports(store: Store) -> dict[str, tuple[Path, ...]]:
    """Return the folders of the artifacts whose reports are told, by asset."""
    by_dump = {
        name: tuple(artifact.path for artifact in of_every_dump(store, name).values())
        for name in ("raw_documents", "normalized_documents")
    }
    return {**by_dump, **{name: (store.current(name).path,) for name in _TOLD}}


def _files(recipe: Recipe) -> dict[str, str]:
    """Return the SHA-256 of every file that the section points to: another list is another result."""
    section = recipe.evaluate
    named = {f"texts.{one.name}": one.path for one in section.texts if one.path is not None}
    named |= {f"listed_terms.{language}": path for language, path in section.listed_terms.items()}
    return {key: digest_file(path) for key, path in named.items() if path.is_file()}


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
    page = artifact.path / REPORT_NAME
    links = {
        "report": dg.MetadataValue.url(page.as_uri()),
        "report_file": dg.MetadataValue.path(str(page)),
    }
    return {"bits_per_byte": plot, **links, **numbers}


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
    gate = artifact.report["gate"]
    said = ", ".join(
        f"{row['name']} {row['verdict']}" for row in gate["verdicts"] if row["verdict"] != "passed"
    )
    yield check("gate", gate["verdict"] == "passed", said or "every verdict is passed", warn=True)
