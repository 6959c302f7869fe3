"""What cannot be measured says which model, why, and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.evaluate.harness import run_harness
from tonsai_pipeline.evaluate.subject import Subject, open_subject
from tonsai_pipeline.evaluate.suite_run import run_suite
from tonsai_pipeline.recipe.evaluate import GenerationConfig
from tonsai_pipeline_tests.train import tiny


@pytest.mark.parametrize("place", ["./gone", "/nowhere/model", "a/b/c"])
def test_a_missing_folder_is_no_hub_id(place: str) -> None:
    with pytest.raises(DataError, match="no such folder"):
        open_subject(place)


def test_a_hub_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect to 'https://huggingface.co'\nsecond line")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", refuse)
    with pytest.raises(DataError, match=r"owner/name@v1: the Hub.*couldn't connect") as caught:
        open_subject("owner/name@v1")
    assert "second line" not in str(caught.value)


def test_a_folder_without_a_tokenizer_or_a_model_is_named(tmp_path: Path, model_dir: Path) -> None:
    with pytest.raises(DataError, match="the folder gives no causal model"):
        open_subject(str(tmp_path))
    shutil.copy(model_dir / "config.json", tmp_path)
    with pytest.raises(DataError, match=str(tmp_path)):
        open_subject(str(tmp_path))


def test_a_tokenizer_of_another_model_is_refused(model_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    shutil.copytree(model_dir, tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(str(model_dir))
    tokenizer.add_tokens([f"<t{n}>" for n in range(100)])
    tokenizer.save_pretrained(str(tmp_path / "m"))
    with pytest.raises(DataError, match="do not belong together"):
        open_subject(str(tmp_path / "m"))


def test_a_chat_without_a_template_is_refused(model_dir: Path) -> None:
    with pytest.raises(DataError, match="no chat template"):
        open_subject(str(model_dir), is_chat=True)


def test_a_turn_has_one_bos(model_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(model_dir, tmp_path / "m")
    template = "{{ bos_token }}{% for m in messages %}[{{ m.content }}]{% endfor %}"
    (tmp_path / "m" / "chat_template.jinja").write_text(template)
    ids = open_subject(str(tmp_path / "m"), is_chat=True).prompt_ids("x")
    assert ids.count(tiny.BOS) == 1
    assert ids[0] == tiny.BOS


def test_an_empty_suite_is_refused(subject: Subject) -> None:
    with pytest.raises(ValueError, match="no items"):
        run_suite(subject, [], GenerationConfig())


def test_a_missing_set_of_the_harness_is_named_and_an_unknown_task_refused(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval", reason="the extra `harness` is not installed")
    monkeypatch.delenv("TONSAI_EVAL_DATA", raising=False)
    scores, missing = run_harness(subject, ["tonsai_sib200_cloze"])
    assert scores == []
    assert "sib200_khm.jsonl" in missing[0].why
    assert "TONSAI_EVAL_DATA" in missing[0].how
    with pytest.raises(RecipeError, match=r"no task 'tonsai_gone'.*tonsai_khm_pairs"):
        run_harness(subject, ["tonsai_gone"])


def test_without_the_extra_the_way_is_named(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(RecipeError, match="--extra harness"):
        run_harness(subject, ["tonsai_khm_pairs"])
    assert run_harness(subject, []) == ([], [])
