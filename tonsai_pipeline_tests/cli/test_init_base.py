"""`tonsai init --base`: a recipe that goes on from a model, with all of its tokens or fewer."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tonsai_pipeline.cli.init import init
from tonsai_pipeline.cli.init.base import Base, tokenizer_lines
from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe import load_recipe
from tonsai_pipeline.synthetic.grammar import document

TEXT = {
    lang: "".join(json.dumps({"text": document(random.Random(i), lang)}) + "\n" for i in range(100))
    for lang in ("khm", "eng")
}


def write(path: Path, data: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TONSAI_DATA", raising=False)
    return tmp_path


def test_continual_pretraining_takes_the_models_tokenizer_and_keeps_english(home: Path) -> None:
    folder = home / "texts"
    write(folder / "khm.jsonl", TEXT["khm"])
    write(folder / "eng.jsonl", TEXT["eng"])
    target = home / "texts.yaml"
    init(folder, base="organization/model", output=target)
    recipe = load_recipe(str(target))
    assert (recipe.model.base, recipe.tokenizer.base) == ("organization/model",) * 2
    assert recipe.train.regression.max_rise_frac == {"eng": 0.03}
    with pytest.raises(RecipeError, match="no such folder, and no Hub id"):
        init(folder, base="./missing", output=home / "other.yaml")
    (home / "empty").mkdir()
    with pytest.raises(RecipeError, match=r"no config\.json"):
        init(folder, base=str(home / "empty"), output=home / "other.yaml")


def test_tokens_of_the_base_go_when_asked(home: Path) -> None:
    folder, target = home / "texts", home / "texts.yaml"
    write(folder / "khm.jsonl", TEXT["khm"])
    config = {"vocab_size": 151_936, "hidden_size": 1024, "tie_word_embeddings": True}
    write(home / "base/config.json", json.dumps(config))
    base = str(home / "base")
    init(folder, base=base, keep_base_tokens=64_000, output=target)
    assert load_recipe(str(target)).tokenizer.keep_base_tokens == 64_000
    assert "of its 151,936 tokens those that this text uses most, 90.0 M" in target.read_text()
    with pytest.raises(RecipeError, match="has 151,936; name fewer"):
        init(folder, base=base, keep_base_tokens=151_936, output=target, force=True)
    with pytest.raises(RecipeError, match="are tokens of --base, which is not given"):
        init(folder, keep_base_tokens=64_000, output=target, force=True)


@pytest.mark.parametrize(
    ("vocab_size", "text_bytes", "said"),
    [
        (151_936, 16e6, "  # keep_base_tokens: 64000  # of its 151,936 tokens"),
        (151_936, 15e6, None),  # counted on so little, too many words of other text fall apart
        (50_257, 16e6, None),
        (None, 16e6, "  # keep_base_tokens: 64000  # if it has 100,000 and more: of its tokens"),
    ],
)
def test_fewer_tokens_are_proposed_where_that_was_measured_to_pay(
    vocab_size: int | None, text_bytes: float, said: str | None
) -> None:
    base = Base("organization/model", vocab_size=vocab_size, parameters_per_token=1024)
    found = [line for line in tokenizer_lines(base, 1e6, text_bytes) if "keep_base" in line]
    assert len(found) == (said is not None)
    assert all(line.startswith(said or "") for line in found)
