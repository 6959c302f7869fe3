"""pretrained_model: a network trained on the packed rows, as a Hugging Face folder."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.models.launcher import JobOptions, launch_job, link_or_copy
from tonsai_pipeline.defs.plots import line_chart
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.defs.results import check, check_spec, code_version, materialized
from tonsai_pipeline.planner.prediction import compare
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.manifest import fingerprint
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.train.regression import find_rises
from tonsai_pipeline.train.spec import (
    METRICS_NAME,
    MODEL_NAME,
    STATUS_NAME,
    TrainRun,
    read_metrics,
    run_settings,
)

STAGE_VERSION = "2"
_JOB = "tonsai_pipeline.train.job"


def pretrained_model(recipe: Recipe) -> dg.AssetsDefinition:
    """Build the asset for a recipe."""

    @dg.asset(
        name="pretrained_model",
        deps=["packed_shards", "tokenizer"],
        group_name="models",
        kinds={"deepspeed", "huggingface"},
        pool="gpu",
        code_version=code_version(STAGE_VERSION, recipe.model, recipe.train),
        check_specs=[
            check_spec(
                "pretrained_model", "loss_is_finite", "The last loss is a number", blocking=True
            ),
            check_spec("pretrained_model", "loss_fell", "Held-out loss is below the untrained one"),
            check_spec(
                "pretrained_model",
                "base_language_kept",
                "No limited language lost more than train.regression allows",
            ),
        ],
        description="The network, trained by DeepSpeed in processes of its own. `model/` opens with "
        "AutoModelForCausalLM. Cancel it and it saves a checkpoint; run it again and it goes on.",
    )
    def _asset(
        context: dg.AssetExecutionContext, config: JobOptions, workspace: Workspace
    ) -> dg.MaterializeResult:
        store = workspace.store(recipe)
        shards, tokenizer = store.current("packed_shards"), store.current("tokenizer")
        settings = run_settings(recipe.model, recipe.train)
        inputs = {"packed_shards": shards.data_version, "tokenizer": tokenizer.data_version}
        name = fingerprint("pretrained_model", STAGE_VERSION, settings, inputs)
        output_dir = store.layout.run("pretrain", name)

        def make(folder: Path) -> Mapping[str, Any]:
            run = TrainRun(
                model=recipe.model,
                train=recipe.train,
                shards_dir=shards.path,
                tokenizer_dir=tokenizer.path,
                output_dir=output_dir,
                fingerprint=name,
                resume="never" if config.force else config.resume,
                coeng_da=recipe.normalize.coeng_da,
            )
            spec = config.spec(_JOB, run.write(), output_dir)
            result = launch_job(context, spec, config)
            link_or_copy(output_dir / MODEL_NAME, folder / MODEL_NAME)
            for kept in (METRICS_NAME, STATUS_NAME):
                link_or_copy(output_dir / kept, folder / kept)
            records = read_metrics(output_dir / METRICS_NAME)
            return _report(result.status, records) | compare(recipe.train, result.status, records)

        artifact = store.materialize(
            "pretrained_model",
            None,
            make,
            stage_version=STAGE_VERSION,
            settings=settings,
            inputs=inputs,
            force=config.force,
        )
        records = read_metrics(artifact.path / METRICS_NAME)
        metadata: dict[str, Any] = {"curve": _curve(records)}
        if samples := _samples(records):
            metadata["samples"] = samples
        checks = [*_checks(artifact, records), _base_check(recipe, artifact, records)]
        return materialized(artifact, metadata=metadata, checks=checks)

    return _asset


def _report(status: Mapping[str, Any], records: list[dict[str, Any]]) -> dict[str, Any]:
    """Choose what the asset page shows of a finished run."""
    kept = (
        "num_parameters",
        "num_steps",
        "tokens",
        "train_s",
        "world_size",
        "zero_stage",
        "device",
        "precision",
        "num_rollbacks",
    )
    report: dict[str, Any] = {name: status[name] for name in kept if name in status}
    for name, value in status.get("uploads", {}).items():
        report[f"upload_{name}"] = value
    trained = [record for record in records if record["kind"] == "train"]
    if trained:
        report["final_train_loss"] = trained[-1]["loss"]
    for lang, numbers in _validation(records)[-1][1].items():
        report[f"val_bpb_{lang}"] = numbers["bits_per_byte"]
        report[f"val_loss_{lang}"] = numbers["loss"]
    return report


def _validation(records: list[dict[str, Any]]) -> list[tuple[int, dict[str, dict[str, float]]]]:
    """Return (step, numbers by language) of every measurement on held-out text."""
    return [
        (record["step"], {k: v for k, v in record.items() if isinstance(v, dict)})
        for record in records
        if record["kind"] == "validation"
    ]


def _curve(records: list[dict[str, Any]]) -> dg.MarkdownMetadataValue:
    trained = [record for record in records if record["kind"] == "train"]
    lines = {"train": ([r["step"] for r in trained], [r["loss"] for r in trained])}
    measured = _validation(records)
    for lang in sorted({lang for _, numbers in measured for lang in numbers}):
        points = [(step, numbers[lang]["loss"]) for step, numbers in measured if lang in numbers]
        lines[f"held out, {lang}"] = ([step for step, _ in points], [loss for _, loss in points])
    return line_chart(lines, title="Loss", x="step", y="nats per token")


def _checks(artifact: Artifact, records: list[dict[str, Any]]) -> Iterator[dg.AssetCheckResult]:
    loss = artifact.report.get("final_train_loss")
    is_finite = loss is not None and math.isfinite(loss)
    yield check("loss_is_finite", is_finite, f"last training loss {loss}")
    measured = _validation(records)
    first, last = measured[0][1], measured[-1][1]
    rose = [lang for lang in last if last[lang]["loss"] >= first[lang]["loss"]]
    said = ", ".join(f"{k} {first[k]['loss']:.3f} to {last[k]['loss']:.3f}" for k in last)
    yield check("loss_fell", not rose, said, warn=True)


def _samples(records: list[dict[str, Any]]) -> dg.MarkdownMetadataValue | None:
    """Show what the network wrote from its prompts, the last time first."""
    written = [record for record in records if record["kind"] == "sample"]
    lines = []
    for record in reversed(written[-3:]):
        lines.append(f"Step {record['step']:,}\n")
        for sample in record["samples"]:
            text = " ".join(f"{sample['prompt']} | {sample['text']}".split())
            lines.append(f"    {sample['language']}: {text}\n")
    return dg.MetadataValue.md("\n".join(lines)) if lines else None


def _base_check(
    recipe: Recipe, artifact: Artifact, records: list[dict[str, Any]]
) -> dg.AssetCheckResult:
    """Compare the finished model with the base model, byte for byte on the same text."""
    limits = recipe.train.regression.max_rise_frac
    status: Any = read_json(artifact.path / STATUS_NAME)
    base = {lang: found["bits_per_byte"] for lang, found in status.get("base", {}).items()}
    now = {lang: found["bits_per_byte"] for lang, found in _validation(records)[-1][1].items()}
    rises = find_rises(limits, base, now)
    said = "; ".join(str(rise) for rise in rises) or "no language is limited (train.regression)"
    return check("base_language_kept", not any(rise.is_too_high for rise in rises), said)
