"""Models that really are broken, trained so, fail the line of the gate that is theirs; a healthy one fails none."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from benchmarks.evaluate.broken import (
    RIGHT_GATE,
    break_models,
    broken_texts,
    judge_all,
    rows_of,
    train,
    with_canaries,
)
from tonsai_pipeline.engine.local import LocalEngine
from tonsai_pipeline.evaluate import compare
from tonsai_pipeline.evaluate.bits_per_byte import score_texts
from tonsai_pipeline.evaluate.gate import Verdict
from tonsai_pipeline.evaluate.measure import Material
from tonsai_pipeline.evaluate.subject import open_subject
from tonsai_pipeline.evaluate.texts import Document, TextSet
from tonsai_pipeline.metrics.suite import load_suite
from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline.recipe.evaluate import (
    EvaluateConfig,
    GateConfig,
    GenerationConfig,
    MemorizationConfig,
)
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.sources import NormalizeConfig
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.stages.train_tokenizer.stage import train_tokenizer_files
from tonsai_pipeline.storage.shards import SEGMENT, RowBlock, RowsHeader, RowWriter
from tonsai_pipeline.synthetic.grammar import document
from tonsai_pipeline.synthetic.wrong_encoding import wrong_encoding
from tonsai_pipeline.text import normalize

#: A minute and a half of CPU; a crowded machine takes longer.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
CONTEXT, VOCAB_SIZE = 128, 2048
#: A network that learnt for half a minute is sure of its likeliest tokens only.
DRAWN = GenerationConfig(temperature=0.4, top_p=0.9)


def write_tokenizer(folder: Path, texts: list[str]) -> Path:
    """Train the product's own tokenizer."""
    folder.mkdir()
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    train_tokenizer_files(
        [folder / "texts.txt"],
        folder / "t",
        config=TokenizerConfig(vocab_size=VOCAB_SIZE, compare_gpt2=False),
        normalize=NormalizeConfig(),
        engine=LocalEngine(1),
    )
    return folder / "t"


def write_rows(folder: Path, rows: torch.Tensor) -> None:
    """Write rows that each begin a document."""
    header = RowsHeader(CONTEXT, VOCAB_SIZE, 2, 0, 1, "t", ("a",), ("khm",))
    with RowWriter(folder, header) as writer:
        segments = np.array([(CONTEXT, 0, CONTEXT)] * len(rows), dtype=SEGMENT)
        writer.append(RowBlock(rows.numpy(), np.ones(len(rows), dtype=int), segments))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Verdict]]:
    """A network of 0.3 M parameters trained on generated Khmer, and the same broken in every way."""
    folder, rng = tmp_path_factory.mktemp("broken"), Random(0)
    khmer, english = (
        [normalize(document(rng, lang, "farming")) for _ in range(300)] for lang in ("khm", "eng")
    )
    wrong = [wrong_encoding(t, rng, defect_frac=1.0, defects=("coeng_da",)) for t in khmer[:200]]
    tokenizer = write_tokenizer(folder / "tokenizer", khmer + english[:50])
    special = {"bos": 0, "eos": 1, "pad": 2}
    size = ModelConfig(num_layers=2, hidden_size=96, num_heads=4)
    model = build_model(size, vocab_size=VOCAB_SIZE, seq_len=CONTEXT, special_ids=special, seed=0)
    rows = rows_of(tokenizer, khmer[20:], CONTEXT)
    save_model(model, folder / "new", tokenizer_dir=tokenizer)
    both = [rows, rows_of(tokenizer, english, CONTEXT)]
    train(folder / "new", folder / "healthy", both, num_steps=320, lr=6e-3)
    write_rows(folder / "shards" / "train", rows[:40])
    write_rows(folder / "shards" / "val_khm", rows_of(tokenizer, khmer[:20], CONTEXT)[:40])
    held_out = TextSet("held out", tuple(Document(text, "khm", "a") for text in khmer[:20]))
    broken = broken_texts(khmer[20:], english, wrong)
    places = break_models(folder / "healthy", folder, khmer[20:], broken, num_steps=40, lr=4e-3)
    shards = with_canaries(folder / "shards", folder / "planted")
    scores = score_texts(open_subject(str(folder / "new")), held_out)
    untrained = {"khm": sum(scores.bits) / sum(scores.num_bytes)}
    config = EvaluateConfig(
        memorization=MemorizationConfig(max_documents=20),
        generation=DRAWN,
        # It writes strings of digits, broken or not; no fault here is about them.
        gate=GateConfig(max_personal_data_frac=1),
    )
    asked = tuple(item for item in load_suite() if item.kind == "continue")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "load_suite", lambda: asked)
        return judge_all(places, Material((held_out,), shards_dir=shards), config, untrained)


def test_each_fails_its_own_line(judged) -> None:
    failed = {
        name: {one.name: one.message for one in own if one.verdict == "failed"}
        for name, own in judged.items()
    }
    assert failed.pop("healthy") == {}
    # A network this small also writes random syllables behind other prompts, and some of them twice.
    failed["knows a canary"].pop("normalized", None)
    assert {name: set(own) for name, own in failed.items()} == {
        name: {gate} for name, gate in RIGHT_GATE.items()
    }, judged
