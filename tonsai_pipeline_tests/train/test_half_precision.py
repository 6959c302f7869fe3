"""DeepSpeed in bf16 and fp16, with optimizer states in host memory, from a recipe and from a JSON file.

One launch of two processes makes all runs, each whole and once more from its second checkpoint.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.train.launch import LaunchSpec, launch
from tonsai_pipeline_tests.train.runs import curve
from tonsai_pipeline_tests.train.test_emulated import SHORT, SIZES, describe

pytestmark = pytest.mark.slow

FILE = {"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "cpu"}}}
CASES: dict[str, dict[str, Any]] = {
    "bf16": {},
    "bf16, offload": {"offload_optimizer": True},
    "bf16, offload by file": {"deepspeed_config": FILE},
    "fp16": {"precision": "fp16"},
    "fp16, offload": {"precision": "fp16", "offload_optimizer": True},
    "fp16, zero 3": {"precision": "fp16", "zero_stage": 3},
}


@pytest.fixture(scope="module")
def folder(tiny_data: Path) -> Path:
    folder = tiny_data / "half"
    folder.mkdir()
    plan: list[dict[str, str | None]] = []
    for name, case in CASES.items():
        settings = {**SHORT, "backend": "deepspeed", **case}
        if "deepspeed_config" in settings:
            path = folder / "deepspeed.json"
            path.write_text(json.dumps(settings["deepspeed_config"]))
            settings["deepspeed_config"] = str(path)
        # Tied: its head is written once, whatever divides it.
        model = ModelConfig.model_validate({"architecture": "llama", **SIZES})
        source = folder / name / "checkpoints" / "step-00000002"
        for output, start_from in ((name, None), (f"{name}, resumed", str(source))):
            run = describe(tiny_data, f"half/{output}", model, **settings)
            plan.append({"run": str(run.write()), "start_from": start_from})
    (folder / "plan.json").write_text(json.dumps(plan))
    spec = LaunchSpec(
        "tonsai_pipeline_tests.train.emulated_runs", folder / "plan.json", folder, num_processes=2
    )
    result = launch(spec)
    assert result.state == "finished", result.failure.get("traceback")
    return folder


@pytest.mark.parametrize("name", CASES)
def test_a_resumed_run_goes_on_to_the_last_digit(folder: Path, name: str) -> None:
    assert curve(folder / f"{name}, resumed") == curve(folder / name)[2:]
    assert (folder / f"{name}, resumed" / "model" / "model.safetensors").read_bytes() == (
        folder / name / "model" / "model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_the_losses_are_those_of_bf16_on_the_gpu(folder: Path, name: str) -> None:
    for (_, loss, _), (_, plain, _) in zip(
        curve(folder / name), curve(folder / "bf16"), strict=True
    ):
        assert loss == pytest.approx(plain, rel=2e-3)


def test_states_in_host_memory_are_divided_with_the_gradients(folder: Path) -> None:
    status = json.loads((folder / "bf16, offload" / "status.json").read_text())
    assert status["zero_stage"] == 2


@pytest.mark.parametrize("name", CASES)
def test_the_exported_weights_have_the_names_of_an_undivided_network(
    folder: Path, name: str
) -> None:
    from safetensors import safe_open

    def names(run: str) -> set[str]:
        with safe_open(folder / run / "model" / "model.safetensors", framework="pt") as file:
            return set(file.keys())

    assert names(name) == names("bf16")
    assert "lm_head.weight" not in names(name)
