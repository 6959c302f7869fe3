"""A tuned model that never learned anything: a tiny network whose configuration ends a text where a turn ends."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest

from tonsai_pipeline.model.opened import OpenModel, open_model
from tonsai_pipeline.tokenizer.assemble import INFO_NAME, parse_info
from tonsai_pipeline_tests.publish.conftest import write_model, write_tokenizer

IM_END_ID = 4


@pytest.fixture(scope="session")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model: context 256, 1,400 tokens, 1,408 rows."""
    folder = tmp_path_factory.mktemp("served")
    return write_model(folder / "base", "gpt2", write_tokenizer(folder / "tokenizer"))


@pytest.fixture(scope="session")
def chat_dir(base_dir: Path) -> Path:
    """The same network as instruction tuning leaves it: a turn's end is an end of text."""
    return tuned(base_dir, base_dir.with_name("tuned"))


@pytest.fixture(scope="session")
def opened(chat_dir: Path) -> OpenModel:
    return open_model(str(chat_dir))


@pytest.fixture(scope="session")
def opened_base(base_dir: Path) -> OpenModel:
    return open_model(str(base_dir))


def tuned(base: Path, folder: Path) -> Path:
    shutil.copytree(base, folder)
    path = folder / "generation_config.json"
    settings = orjson.loads(path.read_bytes())
    eos_id = parse_info((folder / INFO_NAME).read_bytes()).eos_id
    path.write_bytes(orjson.dumps({**settings, "eos_token_id": [IM_END_ID, eos_id]}))
    return folder
