"""`tonsai plan`: any family, hours and cost, settings that fit a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tonsai_pipeline.cli import app

pytestmark = pytest.mark.slow

RECIPE = """
name: planned
sources: [{name: a, lang: khm}]
mixture: {languages: {khm: 1.0}}
tokenizer: {vocab_size: 4096}
packing: {seq_len: 64}
model: {config_file: config.json}
train: {max_tokens: 1_000_000_000, global_batch_tokens: 4096, precision: %s}
"""


def plan(folder: Path, *options: str, precision: str = "bf16") -> str:
    (folder / "r.yaml").write_text(RECIPE % precision)
    arguments = [
        "plan",
        "--recipe",
        str(folder / "r.yaml"),
        "--home",
        str(folder / "home"),
        *options,
    ]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"intermediate_size": 96, "num_key_value_heads": 2, "vocab_size": 32000}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mistral", **sizes}))
    return tmp_path


def test_a_family_without_a_formula_is_planned_with_its_cost(folder: Path) -> None:
    shown = plan(folder, "--gpu", "A10G", "--gpus", "2", "--mfu", "0.5", "--price", "3.0")
    assert "mistral, 2 layers, width 64" in shown
    # 4,096 x 64 twice, two blocks of 30,720 weights and two norms, one norm.
    assert "parameters   586,048" in shown
    flops = 6 * (2 * (64 * 16 * 12 + 3 * 64 * 96) + 4096 * 64) + 12 * 2 * 64 * 64
    hours = 1e9 * flops / (2 * 70e12 * 0.5) / 3600
    assert f"hours        {hours:,.1f} for 1,000,000,000 tokens" in shown
    assert f"cost         {hours * 2 * 3.0:,.0f} for" in shown


def test_a_t4_is_slow_in_fp32(folder: Path) -> None:
    fast = plan(folder, "--gpu", "T4", precision="fp16")
    slow = plan(folder, "--gpu", "T4", precision="fp32")
    speeds = [
        float(line.split()[1].replace(",", ""))
        for shown in (fast, slow)
        for line in shown.splitlines()
        if line.strip().startswith("speed")
    ]
    assert speeds[0] / speeds[1] == pytest.approx(65 / 8.1, rel=1e-3)


def test_a_pruned_and_extended_base_is_counted_smaller(folder: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    network = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    network.save_pretrained(folder / "base")
    recipe = RECIPE.replace("config_file: config.json", "base: base")
    tokenizer = "{base: base, keep_base_tokens: 8000, extend_khmer_tokens: 100}"
    rows = {"{vocab_size: 4096}": tokenizer, tokenizer: "{base: base}"}
    counted = []
    for old, new in rows.items():
        recipe = recipe.replace(old, new)
        (folder / "b.yaml").write_text(recipe % "bf16")
        done = CliRunner().invoke(
            app, ["plan", "--recipe", str(folder / "b.yaml"), "--home", str(folder)]
        )
        counted.append(next(line for line in done.output.splitlines() if "parameters" in line))
    blocks = 586_048 - 2 * 4096 * 64
    assert [int(line.split()[1].replace(",", "")) for line in counted] == [
        blocks + 2 * vocab_size * 64 for vocab_size in (8192, 32_000)
    ]
