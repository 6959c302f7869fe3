"""Continual pretraining: a base model keeps what it knows when its tokenizer grows, and when it does not, the run says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tonsai_pipeline.errors import RecipeError, TrainError
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.job_folder import read_metrics
from tonsai_pipeline.train.loop.stop import StopAfter
from tonsai_pipeline.train.spec import TrainRun
from tonsai_pipeline_tests.train import continued, runs, tiny

LIMITS = {"max_rise_frac": {"eng": 0.5, "khm": 0.5}}
FREEZE = {"freeze": [{"until_frac": 0.5, "trainable": ["embeddings"]}]}


@pytest.fixture(scope="module")
def data(tiny_data: Path) -> Path:
    """A folder with `base/model`, and shards and tokenizer with new tokens."""
    continued.write_base(tiny_data)
    continued.extend(tiny_data / "tokenizer+", tiny_data / "tokenizer")
    continued.extend_shards(tiny_data / "shards", tiny_data / "shards+")
    return tiny_data


@pytest.fixture(scope="module")
def kept(data: Path) -> dict[str, float]:
    """Bits per byte of the base, measured by a run with its own tokenizer, `kept`."""
    runs.train(continued.continued_run(data, "kept", extended=False, regression=LIMITS))
    return bits(status(data, "kept")["base"])


@pytest.fixture(scope="module")
def thawed(data: Path) -> dict[str, torch.Tensor]:
    """Weights of a run whose first half learns embeddings only."""
    runs.train(continued.continued_run(data, "thawed", extended=False, **FREEZE))
    return weights(data, "thawed")


def records(data: Path, output: str, kind: str) -> list[dict[str, Any]]:
    return [r for r in read_metrics(data / output / "metrics.jsonl") if r["kind"] == kind]


def bits(found: dict[str, Any]) -> dict[str, float]:
    return {language: found[language]["bits_per_byte"] for language in ("khm", "eng")}


def status(data: Path, output: str) -> dict[str, Any]:
    found: Any = read_json(data / output / "status.json")
    return found


def test_with_its_own_tokenizer_the_base_is_what_training_begins_with(
    data: Path, kept: dict[str, float]
) -> None:
    assert kept == pytest.approx(bits(records(data, "kept", "validation")[0]), rel=1e-6)
    assert kept["eng"] < 3.0  # it has learnt something that can be lost


def test_new_tokens_begin_near_the_base_and_random_ones_far_from_it(
    data: Path, kept: dict[str, float]
) -> None:
    first: dict[str, dict[str, float]] = {}
    for method in ("subword_mean", "mean", "random"):
        run = continued.continued_run(data, method, extended=True, regression=LIMITS)
        model = run.model.model_copy(update={"new_embeddings": method})
        runs.train(run.model_copy(update={"model": model}))
        first[method] = bits(records(data, method, "validation")[0])
    base = bits(status(data, "subword_mean")["base"])
    # Other rows, the same text: the base reads the new tokens as its own.
    assert base == pytest.approx(kept, rel=2e-2)
    for language, value in base.items():
        lost = {method: found[language] - value for method, found in first.items()}
        assert lost["subword_mean"] < 0.5 * lost["random"], lost
    rows = load_file(data / "subword_mean" / "model" / "model.safetensors")
    assert len(rows["transformer.wte.weight"]) == continued.VOCAB_SIZE


def test_a_run_that_forgets_too_much_is_stopped_and_says_what_to_do(data: Path) -> None:
    run = continued.continued_run(
        data,
        "forgets",
        extended=False,
        optimizer={"lr": 0.5},
        schedule={"warmup_frac": 0.0},
        regression={"max_rise_frac": {"eng": 0.05}, "stop_after_frac": 0.2},
    )
    with pytest.raises(
        TrainError, match=r"step 3: eng: .* allowed \+5.00%.*mixture.languages"
    ) as e:
        runs.train(run)
    assert e.value.step == 3
    run = run.model_copy(
        update={
            "train": run.train.model_copy(
                update={
                    "regression": run.train.regression.model_copy(update={"stop_after_frac": None})
                }
            ),
            "output_dir": data / "forgets_on",
        }
    )
    runs.train(run)
    end = bits(records(data, "forgets_on", "validation")[-1])
    assert end["eng"] > 1.05 * status(data, "forgets_on")["base"]["eng"]["bits_per_byte"]


def test_a_limited_language_must_have_held_out_rows(data: Path) -> None:
    run = continued.continued_run(
        data, "no_fra", extended=False, regression={"max_rise_frac": {"fra": 0.1}}
    )
    with pytest.raises(RecipeError, match="no held-out rows of fra; there are eng, khm"):
        runs.train(run)


def weights(data: Path, output: str) -> dict[str, torch.Tensor]:
    return load_file(data / output / "model" / "model.safetensors")


def test_what_is_frozen_keeps_its_last_bit_and_learns_afterwards(
    data: Path, thawed: dict[str, torch.Tensor]
) -> None:
    frozen = {"freeze": [{"until_frac": 1.0, "trainable": ["embeddings", "*.ln_f.*"]}]}
    runs.train(continued.continued_run(data, "frozen", extended=False, **frozen))
    base = load_file(data / "base" / "model" / "model.safetensors")
    learnt = {"transformer.wte.weight", "transformer.ln_f.weight", "transformer.ln_f.bias"}
    for name, weight in weights(data, "frozen").items():
        assert torch.equal(weight, base[name]) == (name not in learnt), name
    for name, weight in thawed.items():
        assert not torch.equal(weight, base[name]), name


@pytest.mark.parametrize("stop_at", [2, 3, 4])
def test_a_run_stopped_in_any_phase_goes_on_to_the_same_last_digit(
    data: Path, thawed: dict[str, torch.Tensor], stop_at: int
) -> None:
    output = f"stopped{stop_at}"
    run = continued.continued_run(data, output, extended=False, **FREEZE)
    runs.train(run, StopAfter(stop_at))
    runs.train(run)
    again = weights(data, output)
    assert all(torch.equal(thawed[name], again[name]) for name in thawed)


def test_a_stopped_run_drops_out_again_as_before(data: Path) -> None:
    def run_of(output: str) -> TrainRun:
        run = continued.continued_run(data, output, extended=False)
        return run.model_copy(update={"model": run.model.model_copy(update={"dropout": 0.2})})

    runs.train(run_of("dropping"))
    runs.train(run_of("dropping, stopped"), StopAfter(2))
    runs.train(run_of("dropping, stopped"))
    found, again = (runs.curve(data / name) for name in ("dropping", "dropping, stopped"))
    assert found == again


def test_only_the_rows_of_new_tokens_learn_where_that_is_asked_for(data: Path) -> None:
    freeze = {"freeze": [{"until_frac": 1.0, "trainable": ["new_embeddings"]}]}
    run = continued.continued_run(data, "rows", extended=True, **freeze)
    runs.train(run)
    base = load_file(data / "base" / "model" / "model.safetensors")
    after = weights(data, "rows")
    old, new = base["transformer.wte.weight"], after["transformer.wte.weight"]
    pairs = slice(tiny.NUM_REAL, tiny.NUM_REAL + continued.NUM_PAIRS)
    assert torch.equal(new[: tiny.NUM_REAL], old[: tiny.NUM_REAL])
    parts = torch.stack(
        [old[continued.FIRST_PAIR + side : continued.FIRST_PAIR + 128 : 2] for side in (0, 1)]
    )
    moved = (new[pairs] - parts.mean(0)).abs().amax(1)
    assert (moved > 0).float().mean() > 0.9
    assert all(torch.equal(after[k], base[k]) for k in base if k != "transformer.wte.weight")
    kept = continued.continued_run(data, "no_rows", extended=False, **freeze)
    with pytest.raises(RecipeError, match="no token that the base model does not know"):
        runs.train(kept)


def test_a_phase_that_names_no_parameter_is_refused(data: Path) -> None:
    freeze = {"freeze": [{"until_frac": 0.5, "trainable": ["*.layers.*"]}]}
    with pytest.raises(RecipeError, match=r"train\.freeze: \*\.layers\.\*: no parameter"):
        runs.train(continued.continued_run(data, "named", extended=False, **freeze))


def test_samples_are_written_from_the_prompts_and_change_nothing(data: Path) -> None:
    prompts = {"khm": ["\u1780\u17b6\u179a"], "eng": ["The", "A"]}
    samples = {"every_steps": 4, "prompts": prompts, "generation": {"max_new_tokens": 5}}
    run = tiny.make_run(data, "sampled", backend="torch", samples=samples)
    logged = runs.train(run)[1].messages
    runs.train(tiny.make_run(data, "unsampled", backend="torch"))
    found = records(data, "sampled", "sample")
    assert [record["step"] for record in found] == [4, 6]
    assert [s["language"] for s in found[0]["samples"]] == ["khm", "eng", "eng"]
    assert all(0 <= s["num_tokens"] <= 5 for s in found[0]["samples"])
    assert any(m.startswith("step 4 writes (eng): The | ") for m in logged)
    one, other = weights(data, "sampled"), weights(data, "unsampled")
    assert all(torch.equal(one[name], other[name]) for name in one)
