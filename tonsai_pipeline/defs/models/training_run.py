"""A training run, launched for its asset, and what the asset page shows of it: numbers, curve, whether its loss fell.

TrainRun ──launch──▶ model/, metrics.jsonl, status.json
metrics.jsonl, status.json ──▶ report, pictures, checks
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.models.launcher import JobOptions, launch_job
from tonsai_pipeline.defs.plots import line_chart
from tonsai_pipeline.defs.report_page import page_url, write_page
from tonsai_pipeline.defs.results import check
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made
from tonsai_pipeline.storage.files import link_or_copy, read_json
from tonsai_pipeline.storage.job_folder import METRICS_NAME, STATUS_NAME, read_metrics
from tonsai_pipeline.storage.layout import WHOLE
from tonsai_pipeline.train.regression import find_rises
from tonsai_pipeline.train.spec import MODEL_NAME, TrainRun

#: The page of a run that works is written every five seconds at most.
_REFRESH_S = 10

SPECS = (
    CheckSpec("loss_is_finite", "The last loss is a number", blocking=True),
    CheckSpec("loss_fell", "Held-out loss is below the untrained one"),
    CheckSpec(
        "base_language_kept",
        "No limited language lost more than train.regression allows",
    ),
)


def launch(
    context: dg.AssetExecutionContext, options: JobOptions, job: str, run: TrainRun, folder: Path
) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    """Train in processes of their own and keep the model; returns its status, and its metrics."""
    page = _LivePage(run, f"{context.asset_key.path[-1]}/{WHOLE}/{run.output_dir.name}")
    spec = options.spec(job, run.write(), run.output_dir)
    result = launch_job(context, spec, options, page.show)
    for kept in (MODEL_NAME, METRICS_NAME, STATUS_NAME):
        link_or_copy(run.output_dir / kept, folder / kept)
    return result.status, read_metrics(run.output_dir / METRICS_NAME)


@dataclass(frozen=True)
class _LivePage:
    """The page that will be the result's, while it is being made: the curve so far and the newest numbers.

    Args:
        run: What is trained.
        place: `Artifact.place` of the result.
    """

    run: TrainRun
    place: str

    def show(self, numbers: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write the page anew and return its link."""
        path = self.run.output_dir / METRICS_NAME
        records = read_metrics(path) if path.is_file() else []
        curve = {"curve": _curve(records)} if records else {}
        root = self.run.output_dir.parents[2]
        left = numbers.get("time_left")
        says_left = {"time_left": dg.MetadataValue.md(left)} if left else {}
        shown = {**curve, **numbers, **says_left}
        write_page(root, self.place, shown, refresh_s=_REFRESH_S)
        return {"page": dg.MetadataValue.url(page_url(self.place))}


def pictures(made: Made) -> dict[str, Any]:
    """Return the curve, and what the network wrote on the way."""
    records = read_metrics(made.artifact.file(METRICS_NAME))
    found: dict[str, Any] = {"curve": _curve(records)}
    if samples := _samples(records):
        found["samples"] = samples
    return found


def checks(
    made: Made, limits: Mapping[str, float], fell: Collection[str] = ()
) -> Iterator[dg.AssetCheckResult]:
    """Yield the checks of `SPECS`.

    Args:
        made: The artifact of the run.
        limits: How far a language of the base model may rise.
        fell: What is held out and must have fallen; empty: all of it.
    """
    records = read_metrics(made.artifact.file(METRICS_NAME))
    yield from _loss_checks(made, records, fell)
    yield _base_check(made, records, limits)


def report(status: Mapping[str, Any], records: list[dict[str, Any]]) -> dict[str, Any]:
    """Choose what the asset page shows of a finished run."""
    kept = (
        "num_parameters",
        "num_steps",
        "tokens",
        "train_s",
        "world_size",
        "num_nodes",
        "zero_stage",
        "device",
        "precision",
        "num_rollbacks",
    )
    found: dict[str, Any] = {name: status[name] for name in kept if name in status}
    for name, value in status.get("uploads", {}).items():
        found[f"upload_{name}"] = value
    trained = [record for record in records if record["kind"] == "train"]
    if trained:
        found["final_train_loss"] = trained[-1]["loss"]
    for lang, numbers in _of_the_model(records).items():
        found[f"val_bpb_{lang}"] = numbers["bits_per_byte"]
        found[f"val_loss_{lang}"] = numbers["loss"]
    average = status.get("average", {})
    if average:
        found["kept_weights"] = average["kept"]
        for lang in average["average"]:
            found[f"average_val_bpb_{lang}"] = average["average"][lang]
            found[f"last_val_bpb_{lang}"] = average["last"][lang]
    return found


def _validation(records: list[dict[str, Any]]) -> list[tuple[int, dict[str, dict[str, float]]]]:
    """Return (step, numbers by language) of every measurement on held-out text."""
    return [
        (record["step"], {k: v for k, v in record.items() if isinstance(v, dict)})
        for record in records
        if record["kind"] == "validation"
    ]


def _of_the_model(records: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return what was measured of the weights that became the model: the last ones, or their average."""
    for record in records:
        if record["kind"] == "average" and record["kept"] == "average":
            return {lang: numbers for lang, numbers in record.items() if isinstance(numbers, dict)}
    return _validation(records)[-1][1]


def _curve(records: list[dict[str, Any]]) -> dg.MarkdownMetadataValue:
    trained = [record for record in records if record["kind"] == "train"]
    lines = {"train": ([r["step"] for r in trained], [r["loss"] for r in trained])}
    measured = _validation(records)
    for lang in sorted({lang for _, numbers in measured for lang in numbers}):
        points = [(step, numbers[lang]["loss"]) for step, numbers in measured if lang in numbers]
        lines[f"held out, {lang}"] = ([step for step, _ in points], [loss for _, loss in points])
    return line_chart(lines, title="Loss", x="step", y="nats per token")


def _loss_checks(
    made: Made, records: list[dict[str, Any]], fell: Collection[str]
) -> Iterator[dg.AssetCheckResult]:
    loss = made.report.get("final_train_loss")
    is_finite = loss is not None and math.isfinite(loss)
    yield check("loss_is_finite", is_finite, f"last training loss {loss}")
    measured = _validation(records)
    first, last = measured[0][1], _of_the_model(records)
    rose = [lang for lang in fell or last if last[lang]["loss"] >= first[lang]["loss"]]
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
    made: Made, records: list[dict[str, Any]], limits: Mapping[str, float]
) -> dg.AssetCheckResult:
    """Compare the finished model with the base model, byte for byte on the same text."""
    status: Any = read_json(made.artifact.file(STATUS_NAME))
    base = {lang: found["bits_per_byte"] for lang, found in status.get("base", {}).items()}
    now = {lang: found["bits_per_byte"] for lang, found in _of_the_model(records).items()}
    rises = find_rises(limits, base, now)
    said = "; ".join(str(rise) for rise in rises) or "no language is limited (train.regression)"
    return check("base_language_kept", not any(rise.is_too_high for rise in rises), said)
