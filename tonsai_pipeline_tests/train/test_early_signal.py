"""The early signal is measured when it is due, within its share of the time, and stands in the records."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tonsai_pipeline.metrics.suite import load_suite
from tonsai_pipeline.model.build import build_model
from tonsai_pipeline.model.early_signal import early_signal
from tonsai_pipeline.model.samples import open_tokenizer
from tonsai_pipeline.recipe.evaluate import EarlySignalConfig
from tonsai_pipeline.train.callbacks.early_signal import EarlySignal
from tonsai_pipeline_tests.train import tiny

NUMBERS = {"pairs_preferred", "choices_right", "answer_bits_per_byte"}


@pytest.fixture(scope="module")
def network() -> Any:
    special = {"bos": tiny.BOS, "eos": tiny.EOS, "pad": tiny.PAD}
    return build_model(tiny.MODEL, vocab_size=320, seq_len=512, special_ids=special, seed=0)


def test_a_network_that_prefers_nothing_is_at_chance(network: Any, tmp_path) -> None:
    tokenizer = open_tokenizer(tiny.write_tokenizer(tmp_path / "tokenizer"))
    found = early_signal(network, tokenizer, load_suite())
    assert set(found) == NUMBERS
    # A token is a byte and every byte is about as likely as another: 8.3 bits.
    assert found["answer_bits_per_byte"] == pytest.approx(8.3, abs=0.6)
    assert set(early_signal(network, tokenizer, load_suite()[-60:-40])) < NUMBERS


def test_it_is_measured_when_due_and_within_its_time(network: Any, tmp_path) -> None:
    tiny.write_tokenizer(tmp_path / "tokenizer")
    section = {"every_steps": 2, "every_item": 50, "max_time_frac": 1.0}
    run = tiny.make_run(tmp_path, "out", early_signal=section)
    records: list[tuple[str, int, dict]] = []
    journal = SimpleNamespace(
        metrics=SimpleNamespace(write=lambda kind, step, **n: records.append((kind, step, n))),
        show=lambda step, **_: None,
    )
    trainer = SimpleNamespace(
        backend=SimpleNamespace(loss=SimpleNamespace(model=network)),
        journal=journal,
        is_last=False,
        step=0,
    )
    trainer.is_due = lambda every: trainer.is_last or trainer.step % every == 0
    callback = EarlySignal(run, 2)
    callback.trainer = trainer  # pyright: ignore[reportAttributeAccessIssue]
    result: Any = None
    for step in (1, 2):
        trainer.step = step
        callback.after_step(step, result)
    assert [(kind, step) for kind, step, _ in records] == [("signal", 2)]
    assert {"loop_frac", "stable_frac"} <= set(records[0][2])
    # More than its share was taken: the next time is left out, the last one is not.
    callback._run = run.model_copy(
        update={"train": run.train.model_copy(
            update={"early_signal": EarlySignalConfig(every_steps=2, max_time_frac=1e-9)}
        )}
    )  # fmt: skip
    trainer.step = 4
    callback.after_step(4, result)
    trainer.step, trainer.is_last = 5, True
    callback.after_step(5, result)
    assert [step for _, step, _ in records] == [2, 5]
    assert network.config._attn_implementation == "tonsai_varlen"  # as training needs it
