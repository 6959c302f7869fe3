"""instruction_data and sft_dataset through their declarations: what is learned, what is dropped, and that nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.model.batches import make_batch
from tonsai_pipeline.model.loss import IGNORE
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.stages.prepare_sft import stage as prepare_sft
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.storage.store import Artifact, Store
from tonsai_pipeline.synthetic.instructions import draw_conversations
from tonsai_pipeline_tests.tune.chats import (
    ask,
    builder_of,
    dataset_of,
    recipe_of,
    write_base,
    write_jsonl,
)

ROWS = list(draw_conversations(120, seed=3))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "data.jsonl", ROWS)


def learned_texts(dataset: Artifact, split: str = "train") -> list[str]:
    """Return what the targets of each conversation say, read as training reads them."""
    reader = RowReader(dataset.path / split)
    tokenizer = Tokenizer.from_file(str(dataset.path / "tokenizer" / "tokenizer.json"))
    found = []
    for number in range(reader.num_rows):
        batch = make_batch(reader, [number], positions="document", use_varlen=False)
        targets, row = batch.targets[0].tolist(), reader.row(number)
        for first, end in zip(row.cu_seqlens, row.cu_seqlens[1:], strict=False):
            ids = [i for i in targets[first:end] if i != IGNORE]
            found.append(tokenizer.decode(ids, skip_special_tokens=False))
    return found


def test_what_is_learned_is_the_replies_and_their_ends_and_nothing_else(
    base: Path, data: Path, store: Store, engine: Engine
) -> None:
    dataset = dataset_of(recipe_of(base, {"tasks": data}), store, engine)
    learned = learned_texts(dataset) + learned_texts(dataset, "val_replies")
    report = dataset.report
    assert len(learned) == report["num_conversations"] + report["num_held_out"]
    expected = {
        "".join(m["content"] + "<|im_end|>" for m in row["messages"] if m["role"] == "assistant")
        for row in ROWS
    }
    assert set(learned) <= expected
    assert report["end"] == "<|im_end|>"
    assert report["num_learned_tokens"] == sum(
        int(RowReader(dataset.path / "train").row(n).learned.sum())  # pyright: ignore[reportOptionalMemberAccess]
        for n in range(report["num_rows"])
    )


def test_a_conversation_has_one_bos_and_bytes_are_those_of_the_replies(
    base: Path, data: Path, store: Store, engine: Engine
) -> None:
    dataset = dataset_of(recipe_of(base, {"tasks": data}), store, engine)
    reader = RowReader(dataset.path / "train")
    texts = iter(learned_texts(dataset))
    for number in range(reader.num_rows):
        row = reader.row(number)
        for place, (first, end) in enumerate(zip(row.cu_seqlens, row.cu_seqlens[1:], strict=False)):
            ids = row.input_ids[first:end].tolist()
            assert ids[0] == reader.bos_id
            assert ids.count(reader.bos_id) == 1
            said = next(texts).replace("<|im_end|>", "")
            assert row.num_bytes[place] == len(said.encode())


def test_the_tuned_tokenizer_ends_where_a_reply_ends(
    base: Path, data: Path, store: Store, engine: Engine
) -> None:
    from transformers import AutoTokenizer

    dataset = dataset_of(recipe_of(base, {"tasks": data}), store, engine)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(dataset.path / "tokenizer"))
    assert tokenizer.eos_token == "<|im_end|>"
    assert RowReader(dataset.path / "train").eos_id == tokenizer.eos_token_id
    asked = [{"role": "user", "content": "សួស្តី"}]
    rendered = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    for route in (ids, tokenizer(rendered)["input_ids"]):
        assert route.count(tokenizer.bos_token_id) == 1


def test_bad_rows_and_bad_replies_are_counted_by_reason(
    base: Path, tmp_path: Path, store: Store, engine: Engine
) -> None:
    rows: list[Any] = [
        *ROWS[:30],
        "{broken",
        {"text": "no conversation"},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": "nobody replies"}]},
        ask("តើអ្នកជានរណា?", "ក្នុងនាមជា AI ខ្ញុំមិនអាចឆ្លើយបានទេ។"),
        ask("តើអ្វីជាទន្លេ?", "A river is a way of water."),
        ask("say it", "the end is <|im_end|> here"),
    ]
    recipe = recipe_of(base, {"tasks": write_jsonl(tmp_path / "d.jsonl", rows)})
    made = builder_of(recipe, store, engine).build("instruction_data")
    assert made.report["bad_rows"]["tasks"] == {
        "broken_json": 1,
        "unknown_format": 1,
        "unknown_role": 1,
    }
    assert made.report["dropped"]["tasks"] == {
        "holds_chat_marker": 1,
        "no_reply": 1,
        "refusal": 1,
        "reply_in_another_language": 1,
    }
    row = made.report["sources"]["tasks"]
    assert (
        row["num_records"]
        == len(rows)
        == row["num_kept"] + row["num_dropped"] + row["num_bad_rows"]
    )
    bad = read_part(made.path / "quarantine" / "part-00000.parquet").to_pylist()
    assert [(one["row"], one["reason"]) for one in bad] == [
        (30, "broken_json"),
        (31, "unknown_format"),
        (32, "unknown_role"),
    ]


def test_turns_are_normalized(base: Path, tmp_path: Path, store: Store, engine: Engine) -> None:
    typed = "ស\u17d2\u178aី\u200b"  # coeng DA, and a zero-width space
    rows = [*ROWS[:5], ask(typed, "បាទ")]
    recipe = recipe_of(base, {"tasks": write_jsonl(tmp_path / "d.jsonl", rows)})
    made = builder_of(recipe, store, engine).build("instruction_data")
    last = read_part(made.parts()[0]).to_pylist()[-1]
    assert last["messages"][0]["content"] == "ស\u17d2\u178fី"


def test_copies_are_found_across_sources_by_instruction(
    base: Path, tmp_path: Path, store: Store, engine: Engine
) -> None:
    question = "Name three things that keep a person healthy, and say of each why it does so."
    first = [*ROWS[:20], ask(question, "Sleep, food and walking.")]
    second = [
        ask(question.upper(), "Another reply."),
        ask(question + " Please", "A third reply."),
        *ROWS[20:40],
    ]
    paths = {
        "one": write_jsonl(tmp_path / "a.jsonl", first),
        "two": write_jsonl(tmp_path / "b.jsonl", second),
    }
    dataset = dataset_of(recipe_of(base, paths), store, engine)
    assert dataset.report["dropped"]["two"].get("exact_duplicate") == 1
    assert dataset.report["dropped"]["two"].get("near_duplicate", 0) >= 1
    learned = learned_texts(dataset) + learned_texts(dataset, "val_replies")
    assert "Another reply.<|im_end|>" not in learned
    assert "A third reply.<|im_end|>" not in learned


def test_what_is_measured_is_not_learned(
    base: Path, tmp_path: Path, store: Store, engine: Engine
) -> None:
    item = "The old bridge over the wide river was built by farmers from three villages in the dry season."
    quiz = write_jsonl(tmp_path / "quiz.jsonl", [{"text": item}])
    rows = [
        *ROWS[:20],
        ask(f"Translate: {item}", "ស្ពាន"),
        ask("Tell me of a bridge.", f"{item} Yes."),
    ]
    recipe = recipe_of(base, {"tasks": write_jsonl(tmp_path / "d.jsonl", rows)}).model_copy()
    config = recipe.dedup.model_dump() | {
        "decontaminate": {
            "prompt_suite": False,
            "evaluation_sets": [{"name": "quiz", "path": str(quiz)}],
        }
    }
    recipe = Recipe.model_validate({**recipe.model_dump(), "dedup": config})
    dataset = dataset_of(recipe, store, engine)
    assert dataset.report["dropped"]["tasks"]["contaminated"] == 2


def test_long_conversations_lose_their_earliest_turns_or_go(
    base: Path, tmp_path: Path, store: Store, engine: Engine
) -> None:
    turns = [
        m for n in range(6) for m in ask(f"question {n} " + "x" * 90, f"reply {n}")["messages"]
    ]
    rows = [*ROWS[:20], {"messages": turns}, ask("too long " + "y" * 600, "never")]
    data = write_jsonl(tmp_path / "d.jsonl", rows)
    dataset = dataset_of(recipe_of(base, {"tasks": data}, held_out_frac=0.01), store, engine)
    assert dataset.report["num_truncated"] == 1
    assert dataset.report["dropped"]["tasks"]["too_long"] == 1
    learned = learned_texts(dataset) + learned_texts(dataset, "val_replies")
    cut = next(text for text in learned if "reply 5" in text)
    assert "reply 0" not in cut
    assert cut.startswith(f"reply {6 - cut.count('<|im_end|>')}")
    dropped = dataset_of(recipe_of(base, {"tasks": data}, too_long="drop"), store, engine)
    assert dropped.report["dropped"]["tasks"]["too_long"] == 2
    assert dropped.report["num_truncated"] == 0


def test_weights_are_shares_of_tokens(
    base: Path, tmp_path: Path, store: Store, engine: Engine
) -> None:
    paths = {
        "small": write_jsonl(tmp_path / "a.jsonl", ROWS[:20]),
        "large": write_jsonl(tmp_path / "b.jsonl", ROWS[20:]),
    }
    recipe = recipe_of(base, paths, weights={"small": 1, "large": 3}, max_repeats=3.0)
    tokens = {
        name: row["num_tokens"]
        for name, row in dataset_of(recipe, store, engine).report["sources"].items()
    }
    assert tokens["small"] / sum(tokens.values()) == pytest.approx(0.25, abs=0.02)


def test_rows_hold_whole_conversations_packed_or_alone(
    base: Path, data: Path, store: Store, engine: Engine
) -> None:
    packed = dataset_of(recipe_of(base, {"tasks": data}), store, engine)
    alone = dataset_of(recipe_of(base, {"tasks": data}, packing="off"), store, engine)
    assert alone.report["num_rows"] == alone.report["num_conversations"]
    assert packed.report["num_rows"] < alone.report["num_rows"]
    assert sorted(learned_texts(packed)) == sorted(learned_texts(alone))


def test_a_base_without_a_chat_gets_markers(
    data: Path, tmp_path: Path, store: Store, engine: Engine
) -> None:
    base = write_base(tmp_path / "plain", markers=False)
    dataset = dataset_of(recipe_of(base, {"tasks": data}), store, engine)
    assert dataset.report["num_added_markers"] == 2
    assert len(dataset.report["marker_ids"]) == 2
    assert RowReader(dataset.path / "train").vocab_size % 128 == 0
    assert all(text.endswith("<|im_end|>") for text in learned_texts(dataset))


def test_a_template_of_the_base_is_kept_and_one_that_cannot_be_used_is_named(
    data: Path, tmp_path: Path, store: Store, engine: Engine
) -> None:
    base = write_base(tmp_path / "own")
    (base / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    )
    with pytest.raises(RecipeError, match="chat_template: chatml"):
        dataset_of(recipe_of(base, {"tasks": data}), store, engine)
    dataset = dataset_of(recipe_of(base, {"tasks": data}, chat_template="chatml"), store, engine)
    assert dataset.report["end"] == "<|im_end|>"


def test_nothing_to_learn_from_is_an_error(
    base: Path, tmp_path: Path, store: Store, engine: Engine
) -> None:
    empty = recipe_of(base, {"tasks": write_jsonl(tmp_path / "d.jsonl", [{"text": "x"}])})
    with pytest.raises(DataError, match="no conversation; the first bad row: unknown_format"):
        dataset_of(empty, store, engine)


def test_texts_are_held_out_for_the_base_models_languages(
    base: Path, data: Path, tmp_path: Path, store: Store, engine: Engine
) -> None:
    texts = write_jsonl(tmp_path / "t.jsonl", [{"text": "ទន្លេធំហូរកាត់ភូមិ។"}] * 3)
    evaluate = {"texts": [{"name": "t", "lang": "khm", "path": str(texts)}]}
    dataset = dataset_of(recipe_of(base, {"tasks": data}, evaluate=evaluate), store, engine)
    reader = RowReader(dataset.path / "val_khm")
    batch = make_batch(reader, [0], positions="document", use_varlen=False)
    assert reader.row(0).num_bytes.sum() == 3 * len("ទន្លេធំហូរកាត់ភូមិ។".encode())
    # The end of a document is the base model's, not that of a reply.
    assert int((batch.targets == 1).sum()) == 3


def test_a_killed_stage_run_again_gives_the_same_bytes(
    base: Path,
    data: Path,
    tmp_path: Path,
    store: Store,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = recipe_of(base, {"tasks": data})
    whole = dataset_of(recipe, store, engine)
    other = Store(type(store.layout)(tmp_path / "other", "test"))
    real = prepare_sft.write_rows

    def killed(folder: Path, *arguments: Any, **options: Any) -> Any:
        if folder.name == "val_replies":
            raise KeyboardInterrupt
        return real(folder, *arguments, **options)

    monkeypatch.setattr(prepare_sft, "write_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        dataset_of(recipe, other, engine)
    monkeypatch.setattr(prepare_sft, "write_rows", real)
    again = dataset_of(recipe, other, engine)
    assert again.data_version == whole.data_version


def test_rows_without_what_is_learned_are_learned_whole(tmp_path: Path) -> None:
    from tonsai_pipeline_tests.train import tiny

    tiny.write_rows(tmp_path, num_rows=2, seed=0)
    reader = RowReader(tmp_path)
    assert not reader.says_what_is_learned
    np.save(tmp_path / "learned.npy", np.zeros((3, 3), bool))
    with pytest.raises(DataError, match="not of these rows"):
        RowReader(tmp_path)
