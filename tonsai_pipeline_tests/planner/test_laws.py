"""`auto` settings follow from size, tokens and passes; a run with them is recorded and resumed exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.planner import laws
from tonsai_pipeline.planner.network import shape_of
from tonsai_pipeline.recipe import load_recipe
from tonsai_pipeline.recipe.load import parse_recipe
from tonsai_pipeline.recipe.train import LAWS_VERSION, TrainConfig
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.train.loop.stop import StopAfter
from tonsai_pipeline_tests.train import runs, tiny

AUTO = TrainConfig.model_validate(
    {"global_batch_tokens": "auto", "optimizer": {"lr": "auto", "weight_decay": "auto"}}
)


def test_the_laws_come_close_to_grids_that_others_measured() -> None:
    # Lingle 2025, part III: the best rate and batch of a grid for (N, D); rates there are steps of sqrt 2.
    for num_weights, tokens, lr in (
        (368_050_176, 1_023_934_464, 0.000977),
        (872_415_232, 1_023_934_464, 0.000691),
        (109_051_904, 511_967_232, 0.001953),
    ):
        assert laws.step_law_lr(num_weights, tokens) == pytest.approx(lr, rel=0.45)
        assert 32_768 <= laws.step_law_batch(tokens, 512) <= 262_144


def test_small_networks_get_less_than_the_law_would_say_and_their_embeddings_more() -> None:
    assert laws.rates(laws.Workload(1e6, 128, 1e6, 256)) == (2**-9, 5 / 128)
    assert laws.rates(laws.Workload(1e6, 8192, 1e6, 256)) == (2**-9, 2**-9)
    # The range that the law was fitted on is left as it is, and text that is read often.
    law = 1.79 * 60e6**-0.713 * 2e9**0.307
    assert laws.rates(laws.Workload(60e6, 512, 2e9, 256))[0] == pytest.approx(law)
    often = laws.Workload(1e6, 128, 1e6, 256, num_passes=16)
    assert laws.rates(often) == (laws.step_law_lr(1e6, 1e6),) * 2
    work = laws.Workload(1e6, 128, 1e6, 256)
    found, _ = laws.resolve(AUTO, work)
    assert found.optimizer.embedding_lr == 5 / 128
    given = AUTO.optimizer.model_copy(update={"embedding_lr": 0.01})
    found, _ = laws.resolve(AUTO.model_copy(update={"optimizer": given}), work)
    assert found.optimizer.embedding_lr == 0.01
    given = AUTO.optimizer.model_copy(update={"lr": 0.01})
    found, _ = laws.resolve(AUTO.model_copy(update={"optimizer": given}), work)
    assert found.optimizer.embedding_lr is None


def test_decay_grows_with_the_passes_and_stays_between_its_limits() -> None:
    def decay(passes: float) -> float:
        work = laws.Workload(437e6, 1280, 5e9, 2048, num_passes=passes)
        return laws.decay_for(work, 200_704, 1.18e-3)

    assert decay(30) == decay(100) < 10
    assert decay(16) == pytest.approx(16 * decay(1))
    tiny_run = laws.Workload(1e5, 32, 1e4, 64, num_passes=50)
    assert laws.decay_for(tiny_run, 512, 1e-3) == 10


def test_the_key_of_a_run_names_the_laws_where_they_decide_something() -> None:
    train = TrainConfig()
    assert "laws" not in train.settings(str)
    for update in (
        {"global_batch_tokens": "auto"},
        {"optimizer": train.optimizer.model_copy(update={"weight_decay": "auto"})},
    ):
        assert train.model_copy(update=update).settings(str)["laws"] == LAWS_VERSION


def test_however_few_the_tokens_a_third_of_the_run_is_remembered() -> None:
    few = laws.Workload(437e6, 1280, 1e8, 2048)
    decay = laws.decay_for(few, 20_480, 1e-3)
    assert laws.adamw_memory(20_480, 1e-3, decay, 1e8) == pytest.approx(0.3)


def test_what_a_person_gave_is_kept_and_the_rest_fits_to_it() -> None:
    work = laws.Workload(437e6, 1280, 5e9, 2048)
    given = AUTO.model_copy(update={"global_batch_tokens": 524_288})
    found, reasons = laws.resolve(given, work)
    assert found.global_batch_tokens == 524_288
    assert set(reasons) == {"lr", "embedding_lr", "weight_decay"}
    # The best share of the run is remembered whatever the batch.
    assert laws.memory_of_run(found, work) == pytest.approx(laws.best_memory(437e6, 5e9))
    assert laws.resolve(found, work) == (found, {})


def test_the_recommended_recipe_is_half_a_billion_with_decay_that_acts() -> None:
    recipe = load_recipe("qwen3_0p5b")
    shape = shape_of(recipe.model, vocab_size=50_048, seq_len=2048)
    assert shape.num_parameters == 500_600_064
    work = laws.workload(shape, recipe.train, num_rows=None)
    assert work is not None
    train, reasons = laws.resolve(recipe.train, work)
    assert set(reasons) == {"global_batch_tokens", "lr", "embedding_lr", "weight_decay"}
    assert laws.memory_of_run(train, work) < 0.5
    kit = load_recipe("gpt2_0p5b")
    assert laws.memory_of_run(kit.train, work) > 3


def test_a_rate_by_a_law_for_new_weights_is_refused_for_old_ones() -> None:
    raw = {
        "name": "a",
        "sources": [{"name": "a", "lang": "khm"}],
        "mixture": {"languages": {"khm": 1.0}},
        "model": {"base": "some/model"},
        "train": {"optimizer": {"lr": "auto"}},
    }
    with pytest.raises(RecipeError, match="law for new weights"):
        parse_recipe(raw, where="a.yaml")


def test_a_run_records_what_was_decided_and_resumes_to_the_last_digit(tiny_data: Path) -> None:
    settings: dict[str, Any] = {
        "backend": "torch",
        "global_batch_tokens": "auto",
        "optimizer": {"lr": "auto", "weight_decay": "auto"},
        "max_tokens": 6144,
    }
    whole = tiny.make_run(tiny_data, "laws", **settings)
    _, reporter = runs.train(whole)
    status: Any = read_json(whole.output_dir / "status.json")
    assert status["global_batch_tokens"] == laws.step_law_batch(6144, tiny.SEQ_LEN)
    shape = shape_of(whole.model, vocab_size=tiny.VOCAB_SIZE, seq_len=tiny.SEQ_LEN)
    work = laws.workload(shape, whole.train, num_rows=48)
    assert work is not None
    assert (status["lr"], status["embedding_lr"]) == laws.rates(work)
    # 48 rows of 64 tokens are read twice.
    assert "2.0 passes" in status["reasons"]["weight_decay"]
    assert any(message.startswith("lr: auto: 0.00195, Step Law") for message in reporter.messages)
    stopped = tiny.make_run(tiny_data, "laws-stopped", **settings)
    runs.train(stopped, StopAfter(5))
    runs.train(stopped)
    assert runs.curve(stopped.output_dir) == runs.curve(whole.output_dir)
