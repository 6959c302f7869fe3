"""The report says what was measured, and texts of unknown content cannot break its pages."""

from __future__ import annotations

import base64
import re

from tonsai_pipeline.evaluate.curve import loss_curve
from tonsai_pipeline.evaluate.report import Evaluation, html, markdown
from tonsai_pipeline.model.held_out import held_out
from tonsai_pipeline.model.samples import Sample, shipped_prompts
from tonsai_pipeline.recipe.evaluate import GenerationConfig

NASTY = "a ``` fence\n<script>alert(1)</script>\n# not a title"
TRAINING = {
    "num_parameters": 1234,
    "step": 10,
    "tokens": 5120,
    "train_s": 2.0,
    "world_size": 2,
    "device": "cpu",
    "precision": "fp32",
    "backend": "deepspeed",
    "zero_stage": 1,
}


def evaluation(text: str = "hello", training: dict | None = None) -> Evaluation:
    return Evaluation(
        title="tiny",
        date="2026-01-02",
        before={"khm": held_out(5.5 * 100, 100, 200, 2)},
        after={"khm": held_out(2.2 * 100, 100, 200, 2)},
        samples=[Sample("khm", "a | b", text, 3, True, 0.25)],
        generation=GenerationConfig(),
        training=TRAINING if training is None else training,
    )


def test_numbers_before_and_after_stand_in_the_table() -> None:
    text = markdown(evaluation(), curve="loss_curve.png")
    row = next(line for line in text.splitlines() if line.startswith("| khm"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["khm", "3.967", "**1.587**", "5.500", "2.200", "244.7", "9.0", "100", "200"]
    assert "| parameters | 1,234 |" in text
    assert "| tokens per second | 2,560 |" in text
    assert "25.0 % of these characters" in text


def test_without_a_training_run_its_sections_are_left_out() -> None:
    text = markdown(evaluation(training={}), curve=None)
    assert "## The run" not in text
    assert "![" not in text


def test_a_sample_cannot_leave_its_box() -> None:
    text = markdown(evaluation(NASTY), curve=None)
    page = html(text, title="t", pictures={})
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert len(re.findall(r"<h1>", page)) == 1
    assert page.count("<pre>") == 1


def test_the_page_carries_its_picture() -> None:
    page = html(
        markdown(evaluation(), curve="loss_curve.png"),
        title="t",
        pictures={"loss_curve.png": b"png"},
    )
    assert f"data:image/png;base64,{base64.b64encode(b'png').decode()}" in page
    assert 'src="loss_curve.png"' not in page


def test_all_numbers_are_in_the_json() -> None:
    found = evaluation().as_dict()
    assert found["languages"]["khm"]["after"]["num_bytes"] == 200
    assert found["samples"][0]["text"] == "hello"
    assert found["training"] == TRAINING


def test_the_curve_is_a_picture_and_the_same_one_each_time() -> None:
    point = {"loss": 5.0, "bits_per_byte": 2.0}
    records = [
        {"kind": "validation", "step": 0, "khm": point, "eng": point},
        {"kind": "train", "step": 1, "loss": 5.0},
        {"kind": "train", "step": 2, "loss": None},
        {"kind": "event", "step": 2, "message": "skipped"},
        {"kind": "validation", "step": 2, "khm": point, "eng": point},
    ]
    first = loss_curve(records)
    assert first is not None
    assert first.startswith(b"\x89PNG")
    assert first == loss_curve(records)
    assert loss_curve(records[:1]) is None


def test_shipped_prompts_are_khmer_and_english() -> None:
    prompts = shipped_prompts()
    assert set(prompts) == {"khm", "eng"}
    assert all("\u1780" <= char <= "\u17ff" or char == " " for p in prompts["khm"] for char in p)
    assert all(p.isascii() for p in prompts["eng"])
