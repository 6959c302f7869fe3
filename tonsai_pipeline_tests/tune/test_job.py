"""The tuning job in this process: all weights or adapters, stopped and resumed, and what its folders hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.batches import make_batch
from tonsai_pipeline.model.build import load_model
from tonsai_pipeline.model.loss import NextTokenLoss
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.synthetic.instructions import write_instructions
from tonsai_pipeline.train import job as train_job
from tonsai_pipeline.train.checkpoints.fragments import AVERAGE, WEIGHT, FragmentReader
from tonsai_pipeline.train.loop.stop import StopAfter, StopRequest
from tonsai_pipeline.tune.job import Tuning
from tonsai_pipeline.tune.spec import TuneRun
from tonsai_pipeline_tests.train.runs import Recorder, curve
from tonsai_pipeline_tests.tune.chats import dataset_of, recipe_of, write_base

TRAIN: Mapping[str, Any] = {
    "backend": "torch",
    "num_epochs": 2,
    "optimizer": {"lr": 3e-3},
    "checkpoint": {"every_steps": 4},
    "validation": {"every_steps": 100},
}


@pytest.fixture(scope="module", params=["gpt2 tied", "llama untied"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Artifact]:
    """A base model, and rows of instructions in its tokens."""
    folder = tmp_path_factory.mktemp("tune")
    sizes = {} if "gpt2" in request.param else {"architecture": "llama", "tie_embeddings": False}
    base = write_base(folder / "base", **sizes)
    write_instructions(folder / "tasks.jsonl", 60)
    store = Store(Layout(folder / "home", "test"))
    return base, dataset_of(
        recipe_of(base, {"tasks": folder / "tasks.jsonl"}), store, LocalEngine(1)
    )


def run_of(made: tuple[Path, Artifact], output: Path, method: str, **train: Any) -> TuneRun:
    base, dataset = made
    data = {"tasks": base.parents[1] / "tasks.jsonl"}
    recipe = recipe_of(base, data, method=method, train={**TRAIN, **train})
    return TuneRun(
        model=ModelConfig(base=str(base), positions="document"),
        train=recipe.sft.train,
        shards_dir=dataset.path,
        tokenizer_dir=dataset.path / "tokenizer",
        output_dir=output,
        fingerprint="tiny",
        lora=recipe.sft.lora if method == "lora" else None,
        marker_ids=tuple(dataset.report["marker_ids"]),
    )


def tune(run: TuneRun, stop: StopRequest | None = None) -> Recorder:
    reporter = Recorder()
    run.write()
    train_job.train(run, reporter=reporter, stop=stop or StopRequest(), work=Tuning())
    return reporter


def logits(model: Any) -> torch.Tensor:
    ids = torch.randint(0, 200, (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


def test_all_weights_learn_the_replies_and_the_model_knows_its_end(
    made: Any, tmp_path: Path
) -> None:
    run = run_of(made, tmp_path / "full", "full")
    tune(run)
    losses = [loss for _, loss, _ in curve(run.output_dir)]
    assert losses[-1] < losses[0] - 0.5
    folder = run.output_dir / "model"
    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
    model: Any = AutoModelForCausalLM.from_pretrained(str(folder))
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.eos_token_id == end == model.config.eos_token_id
    settings = GenerationConfig.from_pretrained(str(folder))
    assert settings.eos_token_id == [tokenizer.convert_tokens_to_ids("<|eos|>"), end]
    assert (folder / "chat_template.jinja").is_file()
    assert not (run.output_dir / "adapter").exists()


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_tuned_model_teaches_another_and_a_stopped_student_goes_on_to_the_same_bytes(
    made: Any, tmp_path: Path, method: str
) -> None:
    tune(run_of(made, tmp_path / "teacher", "full", seed=1, num_epochs=4))
    taught = {"teacher": {"models": [str(tmp_path / "teacher" / "model")], "weight": 0.9}}
    alone = run_of(made, tmp_path / "alone", method)
    whole = run_of(made, tmp_path / "whole", method, **taught)
    stopped = run_of(made, tmp_path / "stopped", method, **taught)
    tune(alone)
    tune(whole)
    tune(stopped, StopAfter(3))
    tune(stopped)
    assert curve(stopped.output_dir) == curve(whole.output_dir) != curve(alone.output_dir)
    weights = [
        load_file(run.output_dir / "model" / "model.safetensors") for run in (whole, stopped)
    ]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_adapter_and_merged_model_are_the_same_and_tied_weights_stay_tied(
    made: Any, tmp_path: Path
) -> None:
    base, dataset = made
    run = run_of(made, tmp_path / "lora", "lora")
    tune(run)
    plain: Any = AutoModelForCausalLM.from_pretrained(str(base))
    rows = plain.get_input_embeddings().weight.detach().clone()
    merged: Any = AutoModelForCausalLM.from_pretrained(str(run.output_dir / "model"))
    adapted = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(str(base)), str(run.output_dir / "adapter")
    )
    assert (logits(merged) - logits(adapted)).abs().max() < 1e-5
    assert (logits(merged) - logits(plain)).abs().max() > 1e-2
    tied = merged.get_output_embeddings().weight is merged.get_input_embeddings().weight
    assert tied == plain.config.tie_word_embeddings
    # Of the embeddings only the markers' rows learned, and all of them did.
    moved = (merged.get_input_embeddings().weight - rows).abs().sum(1).nonzero().flatten()
    assert moved.tolist() == dataset.report["marker_ids"]
    said = (run.output_dir / "adapter" / "adapter_config.json").read_text()
    assert str(base) not in said
    assert read_json(run.output_dir / "status.json")["state"] == "finished"  # pyright: ignore[reportIndexIssue, reportArgumentType]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_stopped_run_goes_on_to_the_same_bytes(made: Any, tmp_path: Path, method: str) -> None:
    whole, halves = (run_of(made, tmp_path / name, method) for name in ("whole", "halves"))
    tune(whole)
    tune(halves, StopAfter(7))
    assert not (halves.output_dir / "model").exists()
    said = tune(halves).messages
    assert any(message.startswith("resuming from step-0000000") for message in said)
    weights = [load_file(run.output_dir / "model" / "model.safetensors") for run in (whole, halves)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert curve(whole.output_dir) == curve(halves.output_dir)


@pytest.mark.parametrize(
    ("method", "optimizer"),
    [("full", {"name": "muon", "lr": 1.0}), ("lora", {"lr": 1.0})],
)
def test_the_better_of_mean_and_last_weights_is_kept_and_a_stopped_run_ends_on_its_bytes(
    made: Any, tmp_path: Path, method: str, optimizer: dict[str, Any]
) -> None:
    """At rates so high that the mean is mostly the better one."""
    settings = {
        "average_frac": 0.5,
        "optimizer": optimizer,
        "schedule": {"shape": "wsd", "warmup_frac": 0.0, "decay_frac": 0.0},
    }
    whole, halves = (
        run_of(made, tmp_path / name, method, **settings) for name in ("whole", "halves")
    )
    tune(whole)
    tune(halves, StopAfter(7))
    tune(halves)
    folder, file = ("model", "model") if method == "full" else ("adapter", "adapter_model")
    kept, same = (
        load_file(run.output_dir / folder / f"{file}.safetensors") for run in (whole, halves)
    )
    assert kept.keys() == same.keys()
    assert all(torch.equal(value, same[name]) for name, value in kept.items())
    status: Any = read_json(whole.output_dir / "status.json")
    verdict = status["average"]
    is_mean = verdict["average"]["replies"] < verdict["last"]["replies"]
    assert verdict["kept"] == ("average" if is_mean else "last")
    last = sorted((whole.output_dir / "checkpoints").iterdir())[-1]
    saved = FragmentReader(last / "state")
    name = next(name for name in kept if "lora_A" in name or "mlp" in name)
    stored = name.removeprefix("base_model.model.").replace("lora_A", "lora_A.default")
    exported = saved.read(AVERAGE if is_mean else WEIGHT, stored, 0, kept[name].numel())
    assert torch.equal(exported, kept[name].flatten())


def test_conversations_in_a_row_do_not_see_each_other(made: Any) -> None:
    """On a row as it is collated, with what the cache would do switched on: the second is as if it were alone."""
    base, dataset = made
    reader = RowReader(dataset.path / "train")
    number = next(n for n in range(reader.num_rows) if len(reader.row(n).cu_seqlens) > 2)
    model = load_model(base).eval()
    model.config.use_cache = True
    batch = make_batch(reader, [number], positions="document", use_varlen=False)
    first, second = reader.row(number).cu_seqlens[1:3].tolist()
    changed = batch.input_ids.clone()
    changed[:, :first] = (changed[:, :first] + 1) % 200
    loss = NextTokenLoss(model)
    targets = batch.targets.clone()
    targets[:, :first] = -100
    targets[:, second:] = -100
    with torch.no_grad():
        found = [
            loss(ids, targets, batch.position_ids, batch.segment_ids)[0].item()
            for ids in (batch.input_ids, changed)
        ]
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[0] > 0.0


def test_rows_that_do_not_say_what_is_learned_are_refused(
    made: Any, tmp_path: Path, tiny_data: Path
) -> None:
    run = run_of(made, tmp_path / "x", "full").model_copy(
        update={"shards_dir": tiny_data / "shards", "tokenizer_dir": tiny_data / "tokenizer"}
    )
    with pytest.raises(DataError, match="do not say what is learned"):
        tune(
            run.model_copy(
                update={"train": run.train.model_copy(update={"global_batch_tokens": 512})}
            )
        )
