"""evaluation_report: what the model is worth: held-out text, the prompt suite, health, safety, and the gate."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import dagster as dg

from tonsai_pipeline.defs.models.launcher import JobOptions, launch_job
from tonsai_pipeline.defs.plots import bar_chart
from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page
from tonsai_pipeline.evaluate.spec import REPORT_NAME, RESULTS_NAME, EvalRun
from tonsai_pipeline.evaluate.stage import TOLD
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.stages.mix.held_out import write_held_out
from tonsai_pipeline.stages.mix.texts import TextPart, mixture_parts
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.train.launch import LaunchSpec
from tonsai_pipeline.train.spec import MODEL_NAME

_JOB = "tonsai_pipeline.evaluate.job"


def launch(
    context: dg.AssetExecutionContext,
    options: JobOptions,
    builder: Builder,
    key: str,
    folder: Path,
    given: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Measure the model in a process of its own."""
    del builder
    parts = mixture_parts(given["mixed"], given["normalized_documents"])
    run = EvalRun(
        name=given["name"],
        evaluate=given["evaluate"],
        model_dir=given["trained"].path / MODEL_NAME,
        shards_dir=given["packed_shards"].path,
        training_dir=given["trained"].path,
        reports=_reports(given),
        untrained=given["model"],
        seed=given["seed"],
        coeng_da=given["normalize"].coeng_da,
        output_dir=folder,
        fingerprint=key,
    )
    results = run_evaluation(context, options, run, parts)
    return {
        "languages": results["languages"],
        "gate": results["gate"],
        "bits_per_byte": results["models"][0]["bits_per_byte"],
        "suite": results["models"][0]["suite"],
        "samples": results["samples"][:6],
        **({"promised": results["promised"]} if results["promised"] else {}),
    }


def run_evaluation(
    context: dg.AssetExecutionContext, options: JobOptions, run: EvalRun, parts: Sequence[TextPart]
) -> dict[str, Any]:
    """Measure models, on the mixture's held-out documents too, and return the results.

    Args:
        context: Of the asset.
        options: The launch form.
        run: What is measured, but for the mixture.
        parts: The mixture; empty without a corpus.
    """
    held_out = run.output_dir / "held_out.parquet"
    if parts:
        write_held_out(parts, held_out, max_documents=run.evaluate.max_documents)
        corpus = tuple((part.pointers, part.texts) for part in parts)
        run = run.model_copy(update={"held_out": held_out, "corpus": corpus})
    run_file = run.write()
    spec = LaunchSpec(_JOB, run_file, run.output_dir, launcher="python")
    launch_job(context, spec, options)
    # They name folders of this machine, and hold text, which are no part of the result.
    run_file.unlink()
    held_out.unlink(missing_ok=True)
    return cast("dict[str, Any]", read_json(run.output_dir / RESULTS_NAME))


def _reports(given: Mapping[str, Any]) -> dict[str, tuple[Path, ...]]:
    """Return the folders of the artifacts whose reports are told, by asset."""
    by_dump = {
        name: tuple(artifact.path for artifact in given[name].values())
        for name in ("raw_documents", "normalized_documents")
    }
    return {**by_dump, **{name: (given[name].path,) for name in TOLD}}


def _pictures(made: Made) -> dict[str, Any]:
    languages = made.report["languages"]
    after = {lang: row["after"]["bits_per_byte"] for lang, row in languages.items()}
    before = {
        f"{lang}, untrained": row["before"]["bits_per_byte"] for lang, row in languages.items()
    }
    numbers = {f"val_bpb_{lang}": value for lang, value in after.items()}
    plot = bar_chart(
        dict(sorted((after | before).items())), title="Held-out text", unit="bits per byte"
    )
    return {"bits_per_byte": plot, **report_links(made), **numbers}


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    pairs = {
        lang: (row["before"]["bits_per_byte"], row["after"]["bits_per_byte"])
        for lang, row in made.report["languages"].items()
    }
    rose = [lang for lang, (before, after) in pairs.items() if after >= before]
    said = ", ".join(
        f"{lang} {before:.3f} to {after:.3f}" for lang, (before, after) in pairs.items()
    )
    yield check("bits_per_byte_fell", not rose, said, warn=True)
    yield verdict_of(made.report)
    yield _promise_of(made.report)


def _promise_of(report: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Return whether the model is worth what its pilot predicted, as a check."""
    promised = report.get("promised")
    if promised is None:
        return check("prediction_kept", True, "no prediction (evaluate.prediction)")
    said = promised["problem"] or "; ".join(
        f"{one['language']} predicted {one['predicted']['value']:.4f}, measured {one['measured']:.4f} ({one['error']:+.2%})"
        for one in promised["languages"]
    )
    is_kept = not promised["problem"] and all(one["is_inside"] for one in promised["languages"])
    return check("prediction_kept", is_kept, said, warn=True)


def report_links(made: Made) -> dict[str, Any]:
    """Return where the HTML report of a model is."""
    page = made.artifact.path / REPORT_NAME
    return {
        "report": dg.MetadataValue.url(page.as_uri()),
        "report_file": dg.MetadataValue.path(str(page)),
    }


def verdict_of(report: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Return the gate's verdict as a check."""
    gate = report["gate"]
    open_ones = ", ".join(
        f"{row['name']} {row['verdict']}" for row in gate["verdicts"] if row["verdict"] != "passed"
    )
    return check(
        "gate", gate["verdict"] == "passed", open_ones or "every verdict is passed", warn=True
    )


PAGE = Page(
    "Bits per byte on held-out text, the Khmer prompt suite, health of what the model writes, memorization, safety, and "
    "the gate. `report.html` opens in a browser, `results.json` is for programs.",
    docs="evaluation.md",
    group="models",
    kinds=frozenset({"html"}),
    specs=(
        CheckSpec("bits_per_byte_fell", "Training helped in every language"),
        CheckSpec("gate", "The model may be given to others"),
        CheckSpec("prediction_kept", "The model is worth what its pilot predicted"),
    ),
    checks=_checks,
    pictures=_pictures,
)
