"""The starter kit's command lines, with real text where it is: two processes, a DeepSpeed file, going on from a model."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline_tests.cli.test_run import ROOT, tonsai

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CONFIG = {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128}
#: As people have it: written for another trainer, on a GPU.
DEEPSPEED = {
    "bf16": {"enabled": "auto"},
    "zero_optimization": {"stage": 2, "overlap_comm": True},
    "train_micro_batch_size_per_gpu": 4,
    "gradient_accumulation_steps": 2,
    "optimizer": {"type": "AdamW", "params": {"lr": 1e-4}},
}
COMMON = ["--dataset-dir", "data/mixture", "--tokenizer-dir", "artifacts/tokenizer"]


def texts(folder: Path, name: str, num: int) -> list[str]:
    with gzip.open(folder / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line, _ in zip(lines, range(num), strict=False)]


@pytest.fixture(scope="module")
def kit(tmp_path_factory, real_data: Path) -> Path:
    """Everything from raw text to a model, once."""
    place = tmp_path_factory.mktemp("kit")
    (place / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    for name, source in (("khm", "khm/wikipedia.jsonl.gz"), ("eng", "eng/abc_news.jsonl.gz")):
        found = texts(real_data, source, 400)
        rows = [json.dumps({"text": text}, ensure_ascii=False) for text in found]
        (place / f"{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")
        lines = [" ".join(text.split()) for text in found]
        (place / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    (place / "config.json").write_text(json.dumps(CONFIG))
    (place / "deepspeed.json").write_text(json.dumps(DEEPSPEED))
    tonsai(
        "prepare", "--khmer", "khm.jsonl", "--english", "eng.jsonl", "--khmer-weight", "0.6",
        "--english-weight", "0.4", "--output-dir", "data/mixture",
        cwd=place,
    )  # fmt: skip
    tokenizer = tonsai(
        "train-tokenizer", "--dataset-dir", "data/mixture", "--dataset-split", "train", "--text-column", "text",
        "--vocab-size", "2000", "--output-dir", "artifacts/tokenizer",
        cwd=place,
    )  # fmt: skip
    pretrain = tonsai(
        "pretrain", *COMMON, "--model-config", "config.json", "--deepspeed", "deepspeed.json",
        "--output-dir", "artifacts/checkpoints", "--num-processes", "2", "--max-tokens", "10000",
        "--save-steps", "2", "--seed", "3", "--warmup-steps", "2", "--lr", "1e-3", "--activation-checkpointing",
        cwd=place,
    )  # fmt: skip
    (place / "tokenizer.log").write_text(tokenizer.stderr)
    (place / "pretrain.log").write_text(pretrain.stderr)
    return place


def run_of(place: Path, output: str) -> dict[str, Any]:
    """The training run behind an output folder."""
    import yaml

    status = json.loads((place / output / "status.json").read_text())
    recipe = yaml.safe_load((place / f"{output}.recipe.yaml").read_text())
    (folder,) = [
        path.parent
        for path in (place / "home").rglob("run.json")
        if json.loads(path.read_text())["fingerprint"] == status["fingerprint"]
    ]
    return {"folder": folder, "status": status, "recipe": recipe}


def test_flags_and_the_batch_sizes_of_the_file_reach_the_run(kit: Path) -> None:
    found = run_of(kit, "artifacts/checkpoints")
    train = found["recipe"]["train"]
    # Four rows of 128 tokens, twice, in two processes.
    assert (train["micro_batch_rows"], train["global_batch_tokens"]) == (4, 4 * 2 * 2 * 128)
    assert (train["seed"], train["optimizer"]["lr"], train["schedule"]) == (
        3,
        1e-3,
        {"warmup_steps": 2},
    )
    assert train["activation_checkpointing"]
    assert (found["status"]["world_size"], found["status"]["zero_stage"]) == (2, 2)
    names = sorted(path.name for path in (found["folder"] / "checkpoints").glob("step-*"))
    assert names == ["step-00000004", "step-00000005"]


def test_what_was_prepared_for_training_is_what_is_trained_on(kit: Path) -> None:
    import datasets

    splits: Any = datasets.load_from_disk(str(kit / "data/mixture"))
    assert len(splits["validation"]) > 0
    for step in ("tokenizer", "pretrain"):
        lines = (kit / f"{step}.log").read_text().splitlines()
        (mixed,) = [line for line in lines if "training_mixture" in line]
        assert mixed.endswith(f"documents {len(splits['train']):,}")


def test_what_is_written_for_a_person_is_theirs_to_edit(kit: Path) -> None:
    model = kit / "artifacts/checkpoints/model"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in model.iterdir()}
    assert len(modes) == 1
    assert all(path.stat().st_nlink == 1 for path in model.iterdir())


def test_training_goes_on_from_the_output_with_the_kits_flags(kit: Path) -> None:
    tonsai(
        "pretrain", *COMMON, "--model-config", "config.json", "--resume-from", "artifacts/checkpoints",
        "--deepspeed", "deepspeed.json", "--output-dir", "artifacts/checkpoints_cpt", "--max-tokens", "4000",
        cwd=kit,
    )  # fmt: skip
    assert (kit / "artifacts/checkpoints_cpt/model/model.safetensors").is_file()


def test_training_goes_on_from_a_checkpoint(kit: Path) -> None:
    folder = run_of(kit, "artifacts/checkpoints")["folder"]
    tonsai(
        "pretrain", *COMMON, "--resume-from", str(folder / "checkpoints/step-00000004"),
        "--output-dir", "artifacts/from_checkpoint", "--global-batch-tokens", "1024", "--max-tokens", "2000",
        cwd=kit,
    )  # fmt: skip
    assert (kit / "artifacts/from_checkpoint/model/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resume-from", "artifacts/checkpoints", "--model-config", "other.json"], "n_layer 3 (there 2)"),
        (["--resume-from", "some/model"], "no model on the Hub that can be reached"),
        (["--resume-from", "no/such/folder"], "no such folder"),
        (["--resume-from", "data"], "neither a model (config.json)"),
        (["--model-config", "config.json", "--deepspeed", "misspelt.json"], "did you mean zero_optimization?"),
        (["--model-config", "config.json", "--deepspeed", "stage0.json"], "stage 0 has no fp32 masters"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_is_packed(
    kit: Path, options: list[str], message: str, monkeypatch
) -> None:
    (kit / "other.json").write_text(json.dumps({**CONFIG, "n_layer": 3}))
    (kit / "misspelt.json").write_text(json.dumps({"zero_optimisation": {"stage": 2}}))
    (kit / "stage0.json").write_text(json.dumps({"zero_optimization": {"stage": 0}}))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = tonsai(
        "pretrain", *COMMON, *options, "--output-dir", "artifacts/no", cwd=kit, check=False
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "packed_shards" not in done.stderr


def test_a_tokenizer_of_text_files_reads_all_of_them(kit: Path) -> None:
    done = tonsai(
        "train-tokenizer", "--input", "khm.txt", "eng.txt", "--vocab-size", "2000",
        "--output-dir", "artifacts/tokenizer2",
        cwd=kit,
    )  # fmt: skip
    assert "training_mixture" in done.stderr
    assert "documents 800" in next(
        line for line in done.stderr.splitlines() if "training_mixture" in line
    )
    assert "check" not in done.stderr
