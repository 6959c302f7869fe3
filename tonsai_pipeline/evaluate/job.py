"""The evaluation job: RUN.json -> results.json, report.html, loss_curve.png, status.json.

    python -m tonsai_pipeline.evaluate.job --run RUN.json

`status.json` is written last.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from tonsai_pipeline.evaluate.compare import compare, name_places
from tonsai_pipeline.evaluate.curve import loss_curve
from tonsai_pipeline.evaluate.following import Instruction, read_instructions
from tonsai_pipeline.evaluate.measure import Material
from tonsai_pipeline.evaluate.promised import compare_with_promise
from tonsai_pipeline.evaluate.report import html
from tonsai_pipeline.evaluate.results import Results
from tonsai_pipeline.evaluate.spec import REPORT_NAME, RESULTS_NAME, EvalRun
from tonsai_pipeline.evaluate.texts import CorpusPart, read_held_out
from tonsai_pipeline.model.build import build_model, load_model
from tonsai_pipeline.model.held_out import HeldOut, measure_network, open_validation
from tonsai_pipeline.model.samples import open_tokenizer, shipped_prompts, write_samples
from tonsai_pipeline.reporting import Reporter, open_reporter
from tonsai_pipeline.storage.files import read_json, write_bytes, write_json
from tonsai_pipeline.storage.job_folder import METRICS_NAME, STATUS_NAME, read_metrics, run_recorded
from tonsai_pipeline.storage.manifest import read_manifest
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.text import NormalizeOptions

CURVE_NAME = "loss_curve.png"
#: A tuned model writes otherwise than its base reads: ours, a tenth of its bits per byte.
_TUNED_RISE_FRAC = 0.1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns 0 when the report is written."""
    parser = argparse.ArgumentParser(
        prog="tonsai_pipeline.evaluate.job", description="Evaluate a model."
    )
    parser.add_argument("--run", type=Path, required=True, help="RUN.json, see evaluate/spec.py")
    run_file: Path = parser.parse_args(argv).run

    def work() -> None:
        run = EvalRun.read(run_file)
        with open_reporter() as reporter:
            evaluate(run, reporter=reporter)

    return run_recorded(run_file.parent, work)


def evaluate(run: EvalRun, *, reporter: Reporter) -> Results:
    """Measure, sample and write the report.

    Raises:
        TonsaiError: A model, its tokenizer, the shards or a list of terms cannot be opened.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    languages, samples = _packed_rows(run, reporter)
    material = Material(
        texts=(read_held_out(run.held_out),) if run.held_out else (),
        corpus=tuple(CorpusPart(*pair) for pair in run.corpus),
        shards_dir=run.pretraining_dir if run.instructions else run.shards_dir,
        replies_dir=run.shards_dir if run.instructions else None,
        instructions=_instructions(run),
        max_answer_tokens=run.max_answer_tokens,
    )
    allowed_rise = _TUNED_RISE_FRAC if run.instructions else 0.0
    found = compare(
        {run.name: str(run.model_dir), **_others(run)},
        run.evaluate,
        material,
        NormalizeOptions(coeng_da=run.coeng_da),
        title=run.name,
        log=reporter.log,
        is_trained_on_corpus=True,
        untrained={
            lang: pair["before"].bits_per_byte * (1.0 + allowed_rise)
            for lang, pair in languages.items()
        },
        chat={run.name} if run.instructions else set(),
    )
    training, prediction = _status(run.training_dir), run.evaluate.prediction
    promised = None
    if prediction is not None and training:
        promised = compare_with_promise(prediction, training, found.models[0].bits_per_byte)
        for line in [promised.problem] if promised.problem else promised.languages:
            reporter.log(str(line))
    results = replace(
        found,
        languages=languages,
        samples=samples,
        training=training,
        promised=promised,
        corpus={
            asset: [read_manifest(folder).report for folder in folders]
            for asset, folders in run.reports.items()
        },
    )
    write(results, run.output_dir, curve=_draw(run.training_dir))
    write_json(run.output_dir / STATUS_NAME, {"state": "finished", "fingerprint": run.fingerprint})
    return results


def _instructions(run: EvalRun) -> tuple[Instruction, ...]:
    if run.instructions is None:
        return ()
    return tuple(read_instructions(run.instructions, run.max_instructions))


def _others(run: EvalRun) -> dict[str, str]:
    """Name the models beside the one in question; the base of a tuned one comes first."""
    base = {"base model": run.base} if run.base is not None else {}
    return base | name_places(run.evaluate.compare_with)


def write(results: Results, folder: Path, *, curve: bytes | None = None) -> None:
    """Write the report and its machine-readable twin."""
    if curve is not None:
        write_bytes(folder / CURVE_NAME, curve)
    write_bytes(folder / REPORT_NAME, html(results, curve=curve).encode())
    write_json(folder / RESULTS_NAME, results.as_dict())


def _packed_rows(
    run: EvalRun, reporter: Reporter
) -> tuple[dict[str, dict[str, HeldOut]], list[Any]]:
    """Measure both networks, before and after training, by the same function on the same rows; write samples."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    validation = open_validation(run.shards_dir)
    before = _measure_all(run, _untrained(run, validation), validation, device)
    model = load_model(run.model_dir)
    after = _measure_all(run, model, validation, device)
    for language, found in after.items():
        reporter.log(
            f"{language}: {before[language].bits_per_byte:.3f} bits per byte before training, "
            f"{found.bits_per_byte:.3f} after"
        )
    samples = write_samples(
        model.float(),
        open_tokenizer(run.model_dir),
        run.evaluate.prompts or shipped_prompts(),
        run.evaluate.generation,
        coeng_da=run.coeng_da,
    )
    return {lang: {"before": before[lang], "after": after[lang]} for lang in after}, samples


def _untrained(run: EvalRun, validation: Mapping[str, RowReader]) -> PreTrainedModel:
    reader = next(iter(validation.values()))
    return build_model(
        run.untrained,
        vocab_size=reader.vocab_size,
        seq_len=reader.seq_len,
        special_ids=reader.special_ids,
        seed=run.seed,
        tokenizer_dir=run.model_dir,
    )


def _measure_all(
    run: EvalRun, model: PreTrainedModel, validation: Mapping[str, RowReader], device: torch.device
) -> dict[str, HeldOut]:
    return measure_network(
        model,
        validation,
        batch_rows=run.evaluate.batch_rows,
        max_rows=run.evaluate.max_rows,
        positions=run.untrained.positions,
        device=device,
    )


def _status(training_dir: Path | None) -> dict[str, Any]:
    if training_dir is None or not (training_dir / STATUS_NAME).exists():
        return {}
    return cast("dict[str, Any]", read_json(training_dir / STATUS_NAME))


def _draw(training_dir: Path | None) -> bytes | None:
    if training_dir is None or not (training_dir / METRICS_NAME).exists():
        return None
    return loss_curve(read_metrics(training_dir / METRICS_NAME))


if __name__ == "__main__":
    sys.exit(main())
