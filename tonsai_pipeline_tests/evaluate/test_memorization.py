"""A model that learnt a document by heart is caught, by how often it saw it; one that did not is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from tonsai_pipeline.evaluate.measure import find_dirty
from tonsai_pipeline.evaluate.memorization import (
    HELD_OUT_REPLIES,
    LEARNED_REPLIES,
    Memorized,
    attack,
    longest_common,
    overlap,
    worst_excess,
)
from tonsai_pipeline.evaluate.memorized_replies import attack_replies
from tonsai_pipeline.evaluate.subject import Subject, open_subject
from tonsai_pipeline.evaluate.texts import CorpusPart, read_corpus
from tonsai_pipeline.metrics.bootstrap import share_interval
from tonsai_pipeline.metrics.suite import load_suite
from tonsai_pipeline.model.batches import make_batch
from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline.model.loss import NextTokenLoss
from tonsai_pipeline.recipe.evaluate import MemorizationConfig
from tonsai_pipeline.stages.prepare_sft.rows import Item
from tonsai_pipeline.stages.prepare_sft.rows import write_rows as write_rows_of_items
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
    return learn(folder, folder / "shards", num_steps=40), folder / "shards"


def learn(folder: Path, shards: Path, num_steps: int) -> Path:
    """Train a tiny network on rows and write it."""
    special = {"bos": tiny.BOS, "eos": tiny.EOS, "pad": tiny.PAD}
    model = build_model(tiny.MODEL, vocab_size=320, seq_len=64, special_ids=special, seed=0)
    loss, reader = NextTokenLoss(model), RowReader(shards / "train")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = np.random.default_rng(1)
    for _ in range(num_steps):
        rows = generator.choice(reader.num_rows, 8).tolist()
        batch = make_batch(reader, rows, positions="row", use_varlen=False)
        nll, _ = loss(batch.input_ids, batch.targets, batch.position_ids, batch.segment_ids)
        optimizer.zero_grad()
        (nll / 300).backward()
        optimizer.step()
    save_model(model, folder / "model", tokenizer_dir=tiny.write_tokenizer(folder / "tokenizer"))
    return folder / "model"


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


def write_conversations(folder: Path, replies: list[np.ndarray], asked: np.ndarray) -> None:
    """Write a row a reply: two turns, of which the last is learned and attacked; and a document, which is not."""
    header = RowsHeader(tiny.SEQ_LEN, 320, tiny.PAD, tiny.BOS, tiny.EOS, "t", ("a",), ("khm",))
    items = [Item(np.array([tiny.BOS, *asked]), None, 0)]
    for number, reply in enumerate(replies):
        turns = [[tiny.BOS, *asked, 3 + number], [7, tiny.EOS], asked, [*reply, tiny.EOS]]
        is_learned = np.repeat([False, True, False, True], [len(turn) for turn in turns])
        items.append(Item(np.concatenate(turns), is_learned, 0))
    write_rows_of_items(folder, items, header, np.ones(320, np.int32), packing="off", seed=None)


def test_replies_that_were_learned_by_heart_are_told_from_right_ones(
    tmp_path: Path, subject: Subject
) -> None:
    generator = np.random.default_rng(0)
    asked, right = generator.integers(100, 259, 8), generator.integers(100, 259, 18)
    known = [generator.integers(100, 259, 18) for _ in range(12)]
    unknown = [generator.integers(100, 259, 18) for _ in range(12)]
    short = [generator.integers(100, 259, 5)]
    # Everybody knows the right one: it is drawn out of the model, and was learned from none of the rows in question.
    write_conversations(tmp_path / "a" / "train", [*known, *short], asked)
    write_conversations(tmp_path / "a" / "val_replies", [*unknown, *short], asked)
    model = open_subject(str(learn(tmp_path, tmp_path / "a", num_steps=150)))
    groups = attack_replies(model, tmp_path / "a", CONFIG)
    assert [g.group for g in groups] == ["replies, learned", "replies, held out"]
    assert [g.exact.num_items for g in groups] == [12, 12]
    assert groups[0].exact.value > 0.9
    assert groups[1].exact.value == 0.0
    assert worst_excess(groups) == groups[0].exact.value
    write_conversations(tmp_path / "b" / "train", [right], asked)
    write_conversations(tmp_path / "b" / "val_replies", [right], asked)
    assert attack_replies(model, tmp_path / "b", CONFIG) == [], "the same reply is no control"
    untrained = attack_replies(subject, tmp_path / "a", CONFIG)
    assert worst_excess(untrained) == 0.0


def test_replies_as_often_right_learned_or_not_are_not_memorized() -> None:
    def group(name: str, num_right: int) -> Memorized:
        return Memorized(name, share_interval(num_right, 100), 0.0, 10.0)

    unseen = group(HELD_OUT_REPLIES, 80)
    assert worst_excess([group(LEARNED_REPLIES, 86), unseen]) == 0.0
    assert worst_excess([group(LEARNED_REPLIES, 99), unseen]) == pytest.approx(0.19)
    assert worst_excess([group(LEARNED_REPLIES, 99)]) is None
    documents = [group("never", 0), group("once", 1)]
    assert worst_excess([*documents, group(LEARNED_REPLIES, 86), unseen]) == 0.01


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
