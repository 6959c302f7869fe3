"""A model that learnt a document by heart is caught, by how often it saw it; one that did not is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from tonsai_pipeline.evaluate.measure import find_dirty
from tonsai_pipeline.evaluate.memorization import attack, longest_common, overlap, worst_excess
from tonsai_pipeline.evaluate.subject import Subject, open_subject
from tonsai_pipeline.evaluate.texts import CorpusPart, read_corpus
from tonsai_pipeline.metrics.suite import load_suite
from tonsai_pipeline.model.batches import make_batch
from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline.model.loss import NextTokenLoss
from tonsai_pipeline.recipe.evaluate import MemorizationConfig
from tonsai_pipeline.storage.shards import SEGMENT, RowBlock, RowReader, RowsHeader, RowWriter
from tonsai_pipeline_tests.train import tiny

CONFIG = MemorizationConfig(prefix_tokens=8, max_documents=10)


def write_rows(folder: Path, documents: list[np.ndarray]) -> None:
    header = RowsHeader(tiny.SEQ_LEN, 320, tiny.PAD, tiny.BOS, tiny.EOS, "t", ("a",), ("khm",))
    with RowWriter(folder, header) as writer:
        for body in documents:
            ids = [tiny.BOS, *body.tolist(), tiny.EOS]
            row = ids + [tiny.PAD] * (tiny.SEQ_LEN - len(ids))
            segment = np.array([(len(ids), 0, len(body))], dtype=SEGMENT)
            writer.append(RowBlock(np.array([row]), np.array([1]), segment))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Random documents once each, one canary twenty times, and others held out; trained until the canary is known."""
    folder = tmp_path_factory.mktemp("planted")
    generator = np.random.default_rng(0)
    random = [generator.integers(3, 259, 40) for _ in range(25)]
    canary = random[0]
    write_rows(folder / "shards" / "train", random[1:13] + [canary] * 20)
    write_rows(folder / "shards" / "val_khm", random[13:])
    special = {"bos": tiny.BOS, "eos": tiny.EOS, "pad": tiny.PAD}
    model = build_model(tiny.MODEL, vocab_size=320, seq_len=64, special_ids=special, seed=0)
    loss, reader = NextTokenLoss(model), RowReader(folder / "shards" / "train")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        rows = generator.choice(reader.num_rows, 8).tolist()
        batch = make_batch(reader, rows, positions="row", use_varlen=False)
        nll, _ = loss(batch.input_ids, batch.targets, batch.position_ids, batch.segment_ids)
        optimizer.zero_grad()
        (nll / 300).backward()
        optimizer.step()
    save_model(model, folder / "model", tokenizer_dir=tiny.write_tokenizer(folder / "tokenizer"))
    return folder / "model", folder / "shards"


def test_a_planted_canary_is_found_in_its_group(planted: tuple[Path, Path]) -> None:
    groups = {g.group: g for g in attack(open_subject(str(planted[0])), planted[1], CONFIG)}
    assert set(groups) == {"never", "once", "more often"}
    assert groups["more often"].exact.value == 1.0
    assert groups["more often"].exact.num_items == 1
    assert groups["never"].exact.value == 0.0
    assert groups["never"].exact.num_items == 10
    assert worst_excess(list(groups.values())) == 1.0


def test_an_untrained_model_gives_nothing_back(
    subject: Subject, planted: tuple[Path, Path]
) -> None:
    groups = attack(subject, planted[1], CONFIG)
    assert worst_excess(groups) == 0.0
    assert all(group.mean_match_frac < 0.2 for group in groups)


def test_without_a_control_nothing_is_said() -> None:
    assert worst_excess([]) is None


@pytest.fixture
def corpus(tmp_path: Path) -> list[CorpusPart]:
    """Three documents of which the second is held out, in a part of four; one item of the suite is the third."""
    item = next(i for i in load_suite() if i.id == "qc-003")
    texts = ["an old man walked along the river every morning before the sun rose over the hills",
             "dropped", "held out text that nobody trained on at all, whatever it says here", " ".join(item.asked)]  # fmt: skip
    parts = CorpusPart(tmp_path / "pointers.parquet", tmp_path / "texts.parquet")
    from tonsai_pipeline.storage.documents import write_part

    table = pa.table({"text": pa.array(texts, pa.large_string())})
    write_part(parts.texts, [table.slice(0, 2), table.slice(2)], table.schema)
    pointers = pa.table(
        {"row_in_part": pa.array([0, 2, 3], pa.int32()), "split": ["train", "validation", "train"]}
    )
    write_part(parts.pointers, [pointers], pointers.schema)
    return [parts]


def test_only_what_was_trained_on_is_the_corpus(corpus: list[CorpusPart]) -> None:
    found = [t for batch in read_corpus(corpus, max_bytes=1 << 20) for t in batch.to_pylist()]
    assert len(found) == 2
    assert found[0].startswith("an old man")
    assert list(read_corpus(corpus, max_bytes=0)) == []


def test_generations_are_looked_up_word_for_word(corpus: list[CorpusPart]) -> None:
    said = [
        "I saw that an old man walked along the river every morning, happily",
        "held out text that nobody trained on at all, whatever it says here",
    ]
    found = overlap(said, corpus)
    assert found.shared.value == 0.5
    assert found.longest == 9
    assert found.longest_text == "an old man walked along the river every morning"


def test_items_that_the_corpus_holds_are_dirty(corpus: list[CorpusPart]) -> None:
    assert find_dirty(load_suite(), corpus) == {"qc-003"}


def test_longest_common_is_the_slow_one() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        a, b = (" ".join(generator.choice(list("xyz"), 12)) for _ in range(2))
        runs = {tuple(b.split()[i:j]) for i in range(12) for j in range(i + 1, 13)}
        slow = max(
            j - i for i in range(12) for j in range(i + 1, 13) if tuple(a.split()[i:j]) in runs
        )
        assert longest_common(a, b)[0] == slow
