"""CTranslate2 loads what is exported, and writes on as transformers does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tonsai_pipeline.publish.ctranslate2_folder import export_ctranslate2
from tonsai_pipeline_tests.publish.conftest import PADDED, VOCAB_SIZE

ctranslate2 = pytest.importorskip(
    "ctranslate2", reason="ctranslate2 is not installed: uv sync --extra export"
)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen3"])
def test_an_exported_folder_loads_and_writes_the_same_tokens(
    tmp_path: Path, model_dir: Callable[[str], Path], kind: str
) -> None:
    folder = model_dir(kind)
    export_ctranslate2(folder, tmp_path / "converted", dtype="f32")
    prompt = AutoTokenizer.from_pretrained(folder).convert_ids_to_tokens([0, 300, 500, 700])
    engine = ctranslate2.Generator(str(tmp_path / "converted"), inter_threads=1, intra_threads=1)
    written = engine.generate_batch(
        [prompt], max_length=24, sampling_topk=1, include_prompt_in_result=False
    )[0].sequences_ids[0]
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.tensor([[0, 300, 500, 700]])
    padding = list(range(VOCAB_SIZE, PADDED))
    expected = model.generate(ids, do_sample=False, max_new_tokens=24, suppress_tokens=padding)
    assert written == expected[0, 4:].tolist()


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_its_own_converter_makes_a_folder_that_loads(
    tmp_path: Path, model_dir: Callable[[str], Path], kind: str
) -> None:
    from ctranslate2.converters import TransformersConverter

    converted = TransformersConverter(str(model_dir(kind))).convert(str(tmp_path / "converted"))
    assert "null" not in (Path(converted) / "config.json").read_text()
    ctranslate2.Generator(converted)
