"""From a corpus to a model that others have: pretrain, tune (all weights, adapters), evaluate, talk, publish; through the graph.

The jobs run in this process: that they run in processes of their own, killed and resumed, is tested in `test_processes.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import fsspec
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from tonsai_pipeline.cli import app
from tonsai_pipeline.cli.graph import GraphOptions, open_workspace, run_graph
from tonsai_pipeline.defs.models import launcher
from tonsai_pipeline.evaluate.job import evaluate
from tonsai_pipeline.evaluate.spec import EvalRun
from tonsai_pipeline.publish.job import prepare
from tonsai_pipeline.publish.spec import PublishRun
from tonsai_pipeline.recipe.evaluate import GATE_NAMES
from tonsai_pipeline.reporting import open_reporter
from tonsai_pipeline.storage.files import read_json, write_json
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.synthetic.grammar import document
from tonsai_pipeline.synthetic.instructions import write_instructions
from tonsai_pipeline.train import job as train_job
from tonsai_pipeline.train.launch import LaunchResult, LaunchSpec
from tonsai_pipeline.train.loop.stop import StopRequest
from tonsai_pipeline.train.spec import TrainRun
from tonsai_pipeline.tune.job import Tuning
from tonsai_pipeline.tune.spec import TuneRun
from tonsai_pipeline_tests.tune.chats import write_jsonl

pytestmark = pytest.mark.slow

TRAIN = {
    "backend": "torch",
    "micro_batch_rows": 4,
    "precision": "fp32",
    "guards": {"min_free_gb": 0.0},
    "metrics": {"tensorboard": False},
}
QUESTION = "តើ ៥ បូក ៧ ស្មើនឹងប៉ុន្មាន?"


def recipe_of(method: str, target: str, **publish: Any) -> dict[str, Any]:
    return {
        "name": f"chain_{method}",
        "sources": [
            {"name": "news", "lang": "khm", "path": "khm.jsonl", "license": "cc-by-4.0"},
            {"name": "books", "lang": "eng", "path": "eng.jsonl", "license": "cc0-1.0"},
        ],
        "mixture": {"validation": {"frac": 0.1}},
        "tokenizer": {"vocab_size": 600},
        "packing": {"seq_len": 256},
        "model": {"num_layers": 2, "hidden_size": 32, "num_heads": 2},
        "train": {**TRAIN, "max_tokens": 8192, "global_batch_tokens": 1024},
        "evaluate": {
            "suite": False,
            "prompts": {"khm": ["ភ្នំពេញ"]},
            "generation": {"max_new_tokens": 4},
            "memorization": {"max_documents": 5},
            "gate": {"waivers": dict.fromkeys(GATE_NAMES, "made for a test")},
        },
        "sft": {
            "sources": [{"name": "tasks", "path": "tasks.jsonl", "license": "CC-BY-NC-4.0"}],
            "method": method,
            "max_length": 256,
            "replay_frac": 0.1,
            "following": {"max_items": 10, "max_new_tokens": 16},
            "train": {**TRAIN, "num_epochs": 1, "global_batch_tokens": 1024},
        },
        "publish": {
            "license": "cc-by-nc-4.0",
            "target": target,
            "waivers": dict.fromkeys(["contamination", "regression"], "made for a test"),
            **publish,
        },
    }


def in_this_process(spec: LaunchSpec, **_: Any) -> LaunchResult:
    """Do what the process would, without its handlers of signals."""
    file, stop = spec.run_file, StopRequest()
    with open_reporter() as reporter:
        match spec.module.split(".")[1]:
            case "train":
                train_job.train(TrainRun.read(file), reporter=reporter, stop=stop)
            case "tune":
                run = TuneRun.read(file)
                train_job.train(run, reporter=reporter, stop=stop, work=Tuning())
            case "evaluate":
                evaluate(EvalRun.read(file), reporter=reporter)
            case _:
                prepare(PublishRun.read(file))
    status: Any = read_json(spec.output_dir / "status.json")
    return LaunchResult(status["state"], 0, status)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    rng = Random(1)
    for lang in ("khm", "eng"):
        texts = [{"text": document(rng, lang)} for _ in range(40)]
        write_jsonl(folder / f"{lang}.jsonl", texts)
    write_instructions(folder / "tasks.jsonl", 120)
    return folder


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs the whole graph of a recipe and opens what it made."""
    monkeypatch.setattr(launcher, "launch", in_this_process)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("TONSAI_HOME", str(folder / "home"))

    def make(described: dict[str, Any]) -> dict[str, Artifact]:
        file = folder / f"{described['name']}.yaml"
        write_json(file, described)
        options = GraphOptions(num_workers=1)
        recipe, workspace = open_workspace(str(file), options)
        run_graph(recipe, workspace, options)
        store = workspace.store(recipe)
        names = ("pretrained_model", "sft_model", "sft_report", "published_model")
        return {name: store.current(name) for name in names}

    return make


def greedy(place: Path) -> str:
    tokenizer: Any = AutoTokenizer.from_pretrained(str(place))
    model: Any = AutoModelForCausalLM.from_pretrained(str(place))
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.no_grad():
        written = model.generate(**asked, max_new_tokens=12, do_sample=False)
    return str(
        tokenizer.decode(written[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)
    )


def test_from_a_corpus_to_a_model_that_others_have(
    folder: Path, run: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    given = folder / "given"
    stopped = run(recipe_of("full", str(given), license="cc-by-4.0"))
    gate = stopped["published_model"].report["gate"]
    assert [name for name, row in gate.items() if row["stops"]] == ["license"]
    assert "tasks: CC-BY-NC-4.0 allows no commercial use" in gate["license"]["message"]
    assert stopped["published_model"].report["given_to"] is None
    assert list(folder.glob("given*")) == []
    assert "published_model.may_be_published: license failed" in capfd.readouterr().err

    made = run(recipe_of("full", str(given)))
    assert {name for name in made if made[name].path != stopped[name].path} == {"published_model"}
    release = made["published_model"].path / "release"
    assert made["published_model"].report["given_to"] == str(given)
    listed = {p.relative_to(release) for p in release.rglob("*")}
    assert {p.relative_to(given) for p in given.rglob("*")} == listed
    tuned = made["sft_model"].path / "model"
    assert (given / "model.safetensors").read_bytes() == (tuned / "model.safetensors").read_bytes()
    said = CliRunner().invoke(
        app, ["chat", str(given), "--temperature", "0", "-n", "12"], input=f"{QUESTION}\n"
    )
    assert said.exit_code == 0, said.output
    assert said.stdout == f"{greedy(given)}\n" == f"{greedy(tuned)}\n"
    memory = gate["memorization"]
    assert memory["verdict"] != "unknown", memory
    card, data = ((given / name).read_text() for name in ("README.md", "DATA_CARD.md"))
    assert "| right answers | ended by itself |" in card
    assert "| tasks | khm | CC-BY-NC-4.0 |" in card
    assert "## Instructions" in data
    assert "## Documents" in data, "the corpus of the base"
    again = run(recipe_of("full", str(given)))
    assert again["published_model"].path == made["published_model"].path


def test_adapters_to_a_store_of_objects(run: Any) -> None:
    made = run(recipe_of("lora", "memory://lora"))
    system, root = fsspec.core.url_to_fs("memory://lora")
    try:
        manifest = json.loads(system.cat_file(f"{root}/manifest.json"))
        assert {one["path"] for one in manifest["files"]} >= {"model.safetensors", "README.md"}
        assert made["published_model"].report["given_to"] == "memory://lora"
        assert (made["sft_model"].path / "adapter" / "adapter_model.safetensors").is_file()
        names = {group["group"] for group in _memorized(made["sft_report"])}
        assert {"never", "once"} <= names, "documents of the base's corpus"
    finally:
        system.rm(root, recursive=True)


def _memorized(report: Artifact) -> list[dict[str, Any]]:
    results: Any = read_json(report.path / "results.json")
    return results["models"][0]["memorized"]
