"""Runs in half precision through the GPU's attention kernel, emulated on a CPU: every family, compiled, resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tonsai_pipeline.model.build import load_model
from tonsai_pipeline.model.held_out import measure_network, open_validation
from tonsai_pipeline.recipe.load import load_recipe
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import read_metrics
from tonsai_pipeline.train.loop.stop import StopAfter
from tonsai_pipeline.train.spec import TrainRun
from tonsai_pipeline_tests.model.emulated_kernel import emulated
from tonsai_pipeline_tests.model.families import GREEN, write_config
from tonsai_pipeline_tests.train import runs, tiny

SIZES: dict[str, Any] = {"num_layers": 2, "hidden_size": 64, "num_heads": 4}
SHORT: dict[str, Any] = {
    "backend": "torch",
    "precision": "bf16",
    "max_tokens": 3 * 8 * tiny.SEQ_LEN,
    "checkpoint": {"every_steps": 1, "keep_last": 9},
    "validation": {"every_steps": 2},
}


def describe(data: Path, output: str, model: ModelConfig, **train: Any) -> TrainRun:
    run = tiny.make_run(data, output, **{**SHORT, **train})
    return run.model_copy(update={"model": model, "resume": "auto"})


def losses(run: TrainRun) -> list[tuple[int, float]]:
    records = read_metrics(run.output_dir / "metrics.jsonl")
    return [(r["step"], r["last_loss"]) for r in records if r["kind"] == "train"]


def weights(run: TrainRun) -> dict[str, torch.Tensor]:
    return load_file(run.output_dir / "model" / "model.safetensors")


@pytest.mark.parametrize("family", GREEN)
def test_every_family_trains_resumes_and_opens_again(
    tiny_data: Path, tmp_path: Path, family: str
) -> None:
    model = ModelConfig(config_file=write_config(tmp_path, *GREEN[family]))
    whole = describe(tiny_data, f"emulated/{family}", model)
    broken = describe(tiny_data, f"emulated/{family}, stopped", model)
    with emulated() as calls:
        outcome, _ = runs.train(whole)
        assert outcome.finished
        assert len(calls) > 0
        runs.train(broken, StopAfter(2))
        outcome, reporter = runs.train(broken)
    assert "resuming from step-00000002" in reporter.messages
    assert len(losses(whole)) == 3
    assert losses(broken) == losses(whole)
    expected, found = weights(whole), weights(broken)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    # What others open has the numbers that training measured.
    opened = load_model(whole.output_dir / "model")
    measured = measure_network(
        opened,
        open_validation(whole.shards_dir),
        batch_rows=8,
        max_rows=None,
        positions="row",
        device=torch.device("cpu"),
    )
    last = [r for r in read_metrics(whole.output_dir / "metrics.jsonl") if r["kind"] != "train"][-1]
    for language in ("khm", "eng"):
        assert measured[language].loss == pytest.approx(last[language]["loss"], rel=5e-3)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "qwen3"])
def test_one_graph_for_training_and_one_for_measuring(
    tiny_data: Path, architecture: str, monkeypatch
) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def counting(graph: torch.fx.GraphModule, _: object) -> Any:
        graphs.append(graph)
        return graph

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **k: real(f, backend=counting, **k))
    torch._dynamo.reset()
    model = ModelConfig.model_validate({"architecture": architecture, **SIZES})
    # Five and four held-out rows and batches of up to 40 documents: no batch is like another.
    run = describe(
        tiny_data, f"graphs/{architecture}", model, compile=True, num_epochs=2.0, max_tokens=None
    )
    with emulated() as calls:
        runs.train(run)
    assert len(set(calls)) > 5
    assert len(graphs) == 2
    torch._dynamo.reset()
    plain = describe(
        tiny_data, f"graphs/{architecture}, plain", model, num_epochs=2.0, max_tokens=None
    )
    with emulated():
        runs.train(plain)
    for (step, compiled), (_, eager) in zip(losses(run), losses(plain), strict=True):
        assert compiled == pytest.approx(eager, rel=1e-3), step


@pytest.mark.parametrize("name", ["demo", "gpt2_0p5b", "gpt2_500m", "llama_0p5b", "qwen3_0p5b"])
def test_the_settings_of_a_shipped_recipe_train_on_the_kernel(
    tiny_data: Path, tmp_path: Path, name: str
) -> None:
    recipe = load_recipe(name)
    model, train = recipe.model, recipe.train.model_dump(mode="json")
    if model.config_file is None:
        # Two heads to a key and value head, where the recipe groups them.
        num_kv_heads = model.num_kv_heads and SIZES["num_heads"] // 2
        model = model.model_copy(update={**SIZES, "num_kv_heads": num_kv_heads})
    else:
        # The same file with a smaller network in it.
        config = json.loads(model.config_file.read_text())
        config |= {"n_layer": 2, "n_embd": 64, "n_head": 4, "n_inner": None}
        (tmp_path / "config.json").write_text(json.dumps(config))
        model = ModelConfig(config_file=tmp_path / "config.json")
    settings = {**train, "deepspeed_config": None, "num_epochs": None, "global_batch_tokens": 512}
    run = describe(tiny_data, f"shipped/{name}", model, **{**settings, **SHORT, "compile": False})
    with emulated() as calls:
        outcome, _ = runs.train(run)
    assert outcome.finished
    assert len(calls) > 0


def test_with_dropout_the_masked_attention_is_taken(tiny_data: Path) -> None:
    run = describe(tiny_data, "dropout", ModelConfig(dropout=0.1, **SIZES))
    with emulated() as calls:
        outcome, _ = runs.train(run)
    assert outcome.finished
    assert calls == []


def test_a_gpt2_config_without_dropout_keys_trains_on_the_kernel(
    tiny_data: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, *GREEN["gpt2"])
    with emulated() as calls:
        _, reporter = runs.train(describe(tiny_data, "kit", ModelConfig(config_file=config)))
    assert len(calls) > 0
    assert any("attn_pdrop 0.1: not used" in message for message in reporter.messages)


def test_fp16_scales_its_loss_and_goes_on_exactly(tiny_data: Path) -> None:
    model = ModelConfig(**SIZES)
    settings: dict[str, Any] = {"precision": "fp16", "optimizer": {"lr": 3e-3}, "num_epochs": 2.0}
    whole = describe(tiny_data, "fp16", model, **settings, max_tokens=None)
    broken = describe(tiny_data, "fp16, stopped", model, **settings, max_tokens=None)
    exact = describe(tiny_data, "fp32", model, **{**settings, "precision": "fp32"}, max_tokens=None)
    with emulated():
        runs.train(whole)
        runs.train(broken, StopAfter(3))
        runs.train(broken)
    runs.train(exact)
    assert losses(broken) == losses(whole)
    status: Any = read_json(whole.output_dir / "status.json")
    assert status["precision"] == "fp16"
    states = sorted((whole.output_dir / "checkpoints").glob("*/manifest.json"))
    manifests: list[Any] = [read_json(path) for path in states]
    assert min(m["state"]["loss_scale"]["value"] for m in manifests) >= 1.0
    for (_, half), (_, full) in zip(losses(whole), losses(exact), strict=True):
        assert half == pytest.approx(full, rel=2e-2)


def test_a_gradient_too_large_for_fp16_halves_the_scale(tiny_data: Path, monkeypatch) -> None:
    from tonsai_pipeline.train.backends import loss_scale

    monkeypatch.setattr(loss_scale.LossScale.__init__, "__defaults__", (2.0**60, 0))
    run = describe(tiny_data, "fp16, too large", ModelConfig(**SIZES), precision="fp16")
    with emulated():
        runs.train(run)
    manifest: Any = read_json(run.output_dir / "checkpoints/step-00000003/manifest.json")
    assert manifest["state"]["loss_scale"] == {"value": 2.0**57, "good_steps": 0}


def test_rotary_in_bf16_trains_without_a_kernel_too(tiny_data: Path) -> None:
    model = ModelConfig.model_validate({"architecture": "llama", **SIZES})
    outcome, _ = runs.train(describe(tiny_data, "rotary", model))
    assert outcome.finished
