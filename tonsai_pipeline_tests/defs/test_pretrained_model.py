"""What the asset says of a finished run: whether the base's language was kept, and what the network writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tonsai_pipeline.defs.models import training_run as asset
from tonsai_pipeline.defs.stage_asset import Made
from tonsai_pipeline.lineage import DumpView
from tonsai_pipeline.pipeline import open_builder
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.storage.store import Store

BASE = {"eng": {"bits_per_byte": 1.0}, "khm": {"bits_per_byte": 0.9}}


def recipe(**regression: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "continued",
            "sources": [{"name": "news", "lang": "khm"}],
            "model": {"base": "some/model"},
            "train": {"regression": regression},
        }
    )


def finished(store: Store, described: Recipe, status: dict[str, Any]) -> Made:
    def make(folder: Path) -> dict[str, int]:
        (folder / "status.json").write_text(json.dumps(status))
        return {}

    artifact = store.materialize(
        "pretrained_model", None, "f" * 64, make, stage_version="1", settings={}, inputs={}
    )
    return Made(artifact, open_builder(described, store, DumpView({}, {}.__getitem__)))


def measured(**bits: float) -> dict[str, Any]:
    return {
        "kind": "validation",
        "step": 9,
        **{lang: {"bits_per_byte": value, "loss": value} for lang, value in bits.items()},
    }


@pytest.mark.parametrize(("eng", "passed"), [(1.02, True), (1.04, False)])
def test_the_check_fails_where_a_limited_language_lost_too_much(
    store: Store, eng: float, passed: bool
) -> None:
    made = finished(store, recipe(max_rise_frac={"eng": 0.03}), {"base": BASE})
    found = asset._base_check(made, [measured(eng=eng, khm=5.0)], {"eng": 0.03})
    assert found.passed == passed
    assert found.severity.value == "ERROR"
    assert f"eng: {eng:.4f} bits per byte, the base model had 1.0000" in str(found.description)


@pytest.mark.parametrize("kept", ["average", "last"])
def test_the_numbers_are_those_of_the_weights_that_became_the_model(kept: str) -> None:
    average = {**measured(khm=0.8), "kind": "average", "kept": kept}
    bits = {"kept": kept, "average": {"khm": 0.8}, "last": {"khm": 0.9}}
    found = asset.report({"average": bits}, [measured(khm=2.0), measured(khm=0.9), average])
    assert found["val_bpb_khm"] == bits[kept]["khm"]
    assert found["kept_weights"] == kept
    assert (found["average_val_bpb_khm"], found["last_val_bpb_khm"]) == (0.8, 0.9)


def test_without_limits_the_check_says_that_nothing_is_limited(store: Store) -> None:
    found = asset._base_check(finished(store, recipe(), {}), [measured(eng=9.0)], {})
    assert found.passed
    assert "no language is limited" in str(found.description)


def test_the_last_samples_stand_on_the_asset_page() -> None:
    records = [
        {
            "kind": "sample",
            "step": step,
            "samples": [{"language": "khm", "prompt": "p", "text": f"text {step}\n# no heading"}],
        }
        for step in (10, 20, 30, 40)
    ]
    shown = asset._samples(records)
    assert shown is not None
    text = str(shown.value)
    assert text.index("Step 40") < text.index("Step 30") < text.index("Step 20")
    assert "Step 10" not in text
    assert "    khm: p | text 40 # no heading" in text
    assert asset._samples([]) is None
