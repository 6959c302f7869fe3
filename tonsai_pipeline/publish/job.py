"""The publishing job, a fresh process: RUN.json -> release/ (files, cards, manifest), gate.json.

    python -m tonsai_pipeline.publish.job --run RUN.json

    model/ ──listed files──▶ release/ ──opened, measured──▶ verdicts ──▶ cards ──▶ manifest.json ──▶ gate.json

It gives nothing to anybody: `targets.py` does, and takes only a release whose verdicts are passed or accepted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from transformers.utils import logging as transformers_logging

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.auto_tokenizer import prove_auto_tokenizer
from tonsai_pipeline.model.build import load_model, num_parameters
from tonsai_pipeline.model.held_out import measure_network, open_validation
from tonsai_pipeline.model.opened import open_model
from tonsai_pipeline.publish import cards
from tonsai_pipeline.publish.files import copy_listed, find_faults, write_manifest
from tonsai_pipeline.publish.gate import Reloaded, Verdict, judge
from tonsai_pipeline.publish.spec import GATE_NAME, RELEASE_NAME, PublishRun
from tonsai_pipeline.storage.files import read_json, write_bytes, write_json
from tonsai_pipeline.storage.job_folder import STATUS_NAME, run_recorded

_BATCH_ROWS = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns 0 when the release and its verdicts are written, whatever they say."""
    parser = argparse.ArgumentParser(
        prog="tonsai_pipeline.publish.job", description="Prepare a release."
    )
    parser.add_argument("--run", type=Path, required=True, help="RUN.json, see publish/spec.py")
    run_file: Path = parser.parse_args(argv).run
    return run_recorded(run_file.parent, lambda: prepare(PublishRun.read(run_file)))


def prepare(run: PublishRun) -> list[Verdict]:
    """Write the release and its verdicts.

    Raises:
        DataError: There is no evaluation, or there are no weights.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    results = _results(run.results)
    if run.pretraining_results is not None:
        results = {**results, "corpus": _results(run.pretraining_results).get("corpus")}
    release = run.output_dir / RELEASE_NAME
    shutil.rmtree(release, ignore_errors=True)
    copy_listed(run.model_dir, release)
    reloaded = _reload(run, release)
    takes_turns, context = (False, 0) if isinstance(reloaded, str) else _kind(release)

    def write(verdicts: Sequence[Verdict]) -> dict[str, str]:
        texts = cards.write(cards.Facts(run, results, verdicts, takes_turns, context))
        for name, text in texts.items():
            write_bytes(release / name, text.encode())
        return texts

    write_json(release / "evaluation.json", cards.reduced(results))
    # The cards tell the verdicts, and are themselves judged.
    card_faults = cards.find_faults(write(()))
    private = [run.model_dir, run.output_dir, Path.cwd(), Path.home(), run.results.parent]
    file_faults = find_faults(release, private)
    verdicts = judge(run, results, reloaded, file_faults, card_faults)
    write(verdicts)
    if not file_faults and (late := find_faults(release, private)):
        verdicts = judge(run, results, reloaded, late, card_faults)
    write_manifest(release)
    rows = [{**vars(one), "stops": one.stops} for one in verdicts]
    write_json(run.output_dir / GATE_NAME, {"verdicts": rows})
    write_json(run.output_dir / STATUS_NAME, {"state": "finished", "fingerprint": run.fingerprint})
    return verdicts


def _results(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; evaluate the model first: tonsai evaluate")
    found = cast("dict[str, Any]", read_json(path))
    if not isinstance(found, dict) or not found.get("models"):
        raise DataError(f"{path}: not the results of an evaluation")
    return found


def _reload(run: PublishRun, release: Path) -> Reloaded | str:
    """Open the release as whoever downloads it will, and measure it again; or say why it cannot be opened."""
    try:
        if bad := _not_finite(release):
            return f"{bad} holds numbers that are not finite"
        prove_auto_tokenizer(release)
        network = load_model(release)
    except Exception as error:  # noqa: BLE001  # whatever a library raises on files that it cannot read
        return f"{type(error).__name__}: {error}".replace(str(release), "the release")
    count = num_parameters(network)
    if run.shards_dir is None:
        return Reloaded(count, {})
    measured = measure_network(
        network,
        open_validation(run.shards_dir),
        batch_rows=_BATCH_ROWS,
        max_rows=run.max_rows,
        positions=str((run.made_with.get("model") or {}).get("positions", "row")),
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    return Reloaded(count, {lang: found.bits_per_byte for lang, found in measured.items()})


def _not_finite(release: Path) -> str | None:
    """Return the name of a tensor with a number that is none; one tensor in memory at a time."""
    for path in sorted(release.glob("model*.safetensors")):
        with safe_open(path, "pt") as saved:
            for name in saved.keys():  # noqa: SIM118  # not a mapping
                if not torch.isfinite(saved.get_tensor(name)).all():
                    return name
    return None


def _kind(release: Path) -> tuple[bool, int]:
    """Return whether the model takes turns, and its context."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    opened = open_model(str(release), device=torch.device("cpu"))
    return opened.takes_turns, opened.context


if __name__ == "__main__":
    sys.exit(main())
