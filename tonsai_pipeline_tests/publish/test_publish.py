"""Nothing leaves this machine that is not whole, allowed and said; what leaves arrives whole or not at all."""

from __future__ import annotations

import errno
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
import yaml
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from tonsai_pipeline.cli import app
from tonsai_pipeline.errors import DataError, StorageError, TonsaiError
from tonsai_pipeline.publish import job, targets
from tonsai_pipeline.publish.files import MANIFEST_NAME, find_faults
from tonsai_pipeline.publish.spec import DataSource
from tonsai_pipeline_tests.publish import releases
from tonsai_pipeline_tests.train import tiny

Prepare = Callable[..., Path]
LISTED = {
    "DATA_CARD.md", "README.md", "config.json", "evaluation.json", "generation_config.json", "manifest.json",
    "model.safetensors", "normalizer_config.json", "special_tokens_map.json", "tokenizer.json",
    "tokenizer_config.json", "tonsai_tokenizer.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    shards = tiny.write_shards(folder / "shards")
    model = releases.write_model(folder)
    releases.write_results(folder / "evaluation" / "results.json", model, shards)
    return folder


@pytest.fixture
def prepare(world: Path, tmp_path: Path) -> Prepare:
    """Return a function that prepares a release, with changes, and returns its place."""

    def make(**changes: Any) -> Path:
        place = tmp_path / f"release-{len(list(tmp_path.iterdir()))}"
        given = {
            "model_dir": world / "model",
            "results": world / "evaluation" / "results.json",
            **changes,
        }
        job.prepare(releases.release_run(place, shards=world / "shards", **given))
        return place

    return make


@pytest.fixture(scope="module")
def ready(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that passes."""
    place = tmp_path_factory.mktemp("ready")
    results = world / "evaluation" / "results.json"
    job.prepare(releases.release_run(place, world / "model", results, world / "shards"))
    return place


def stopping(place: Path) -> dict[str, str]:
    rows = json.loads((place / "gate.json").read_text())["verdicts"]
    return {row["name"]: row["message"] for row in rows if row["stops"]}


def push(place: Path, target: str, **options: Any) -> str:
    return targets.push(place, target, log=lambda _: None, **options)


def test_a_release_holds_what_others_need_and_nothing_else(ready: Path, world: Path) -> None:
    assert stopping(ready) == {}
    release = ready / "release"
    found = {path.name for path in release.iterdir()}
    assert found - {"chat_template.jinja"} <= LISTED
    assert {"README.md", "model.safetensors", "tokenizer.json", "manifest.json"} <= found
    ids = torch.tensor([[0, 5, 9]])
    first, again = (
        AutoModelForCausalLM.from_pretrained(str(folder)).generate(
            ids, do_sample=False, max_new_tokens=12
        )
        for folder in (world / "model", release)
    )
    assert first.tolist() == again.tolist()
    AutoTokenizer.from_pretrained(str(release))
    for path in release.iterdir():
        assert str(world).encode() not in path.read_bytes(), path.name
        assert b"nobody gives away" not in path.read_bytes(), path.name


def test_the_card_says_what_the_run_knows_and_leaves_out_what_it_does_not(
    ready: Path, prepare: Prepare
) -> None:
    text = (ready / "release" / "README.md").read_text()
    data = ModelCard(text).data
    assert (data.license, data.language, data.model_name) == ("cc-by-4.0", ["en", "km"], "tiny")
    assert data.datasets == ["owner/books"]
    assert {one.metric_type for one in data.eval_results} == {"bits_per_byte", "preferred"}
    for said in (
        "Not for advice.", "2.00 hours on 1 x cpu", "`train.optimizer.lr` | 0.001", "truth (nobody can)",
        "| news | khm | cc-by-4.0 | 40 | 3,000 | 1.50 | 60.0 % |", "chance 0.500", "c" * 40, "(0.900 to 1.100)",
        "12,345 further tokens were canaries",
    ):  # fmt: skip
        assert said in text, said
    described = (ready / "release" / "DATA_CARD.md").read_text()
    assert "| read | broken json | 3 |" in described
    assert "Masked before training: email." in described
    bare = prepare(made_with={}, commit="", masked=(), publish={"limits": []})
    for name in ("README.md", "DATA_CARD.md"):
        text = (bare / "release" / name).read_text()
        assert "More Information Needed" not in text
        assert "None" not in text
        assert "Undefined" not in text


def broken_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[0]
    weights[name][:] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def other_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    for value in weights.values():
        value.mul_(1.2)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def private_path(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "trained_in": "/home/sok/secret"}))


def pickled_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))


@pytest.mark.parametrize(
    ("break_it", "name", "said"),
    [
        (broken_weights, "reload", "not finite"),
        (other_weights, "same_numbers", "reported"),
        (cut_weights, "reload", "Error"),
        (private_path, "files", "config.json: names /home/sok"),
        (pickled_weights, "files", "model.safetensors: a pickle"),
    ],
)
def test_a_broken_model_is_stopped_by_name(
    world: Path,
    tmp_path: Path,
    prepare: Prepare,
    break_it: Callable[[Path], None],
    name: str,
    said: str,
) -> None:
    model = shutil.copytree(world / "model", tmp_path / "broken")
    break_it(model)
    place = prepare(model_dir=model)
    assert said in stopping(place)[name]
    with pytest.raises(DataError, match=f"not published: .*{name}"):
        push(place, str(tmp_path / "target"))
    assert not list(tmp_path.glob("target*"))


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({"publish": {"license": None}}, "card", "no licence"),
        ({"publish": {"license": "mine"}}, "license", "'mine' is no identifier"),
        (
            {"sources": (DataSource(name="chat", lang="khm", license="cc-by-nc-4.0"),)},
            "license",
            "chat: cc-by-nc-4.0 allows no commercial use, cc-by-4.0 does",
        ),
        ({"sources": (DataSource(name="web", lang="khm"),)}, "license", "no known licence is given for: web"),
        ({"sources": (DataSource(name="web", lang="khm", license="unknown"),)}, "license", "given for: web"),
        ({"publish": {"base_model": "owner/base"}}, "license", "base model (publish.base_license)"),
        ({"publish": {"base_model": "owner/base"}}, "regression", "no base model was measured"),
        ({"publish": {"summary": "[More Information Needed]"}}, "card", "More Information Needed"),
        ({"publish": {"summary": "See /home/sok/notes"}}, "files", "README.md: names /home/sok"),
    ],
)  # fmt: skip
def test_a_poisoned_card_is_stopped_by_name(
    tmp_path: Path, prepare: Prepare, changes: dict[str, Any], name: str, said: str
) -> None:
    place = prepare(**changes)
    assert said in stopping(place)[name]
    with pytest.raises(DataError, match="not published"):
        push(place, str(tmp_path / "target"))
    assert not list(tmp_path.glob("target*"))


def test_a_listed_word_stops_and_a_named_waiver_does_not(
    world: Path, tmp_path: Path, prepare: Prepare
) -> None:
    def evaluated(name: str, **gate: Any) -> Path:
        path = tmp_path / name / "results.json"
        return releases.write_results(path, world / "model", world / "shards", **gate)

    assert list(stopping(prepare(results=evaluated("bad", added_terms=0.1)))) == ["listed_terms"]
    assert list(stopping(prepare(results=evaluated("unknown", added_terms=None)))) == [
        "listed_terms"
    ]
    waived = evaluated("waived", added_terms=None, waivers={"listed_terms": "read by hand"})
    place = prepare(results=waived)
    assert stopping(place) == {}
    assert "**Accepted:** read by hand" in (place / "release" / "README.md").read_text()
    silent = {"sources": (DataSource(name="web", lang="khm"),)}
    accepted = prepare(**silent, publish={"waivers": {"license": "asked the owners"}})
    assert stopping(accepted) == {}
    with pytest.raises(ValueError, match="'reload' cannot be accepted"):
        prepare(publish={"waivers": {"reload": "it will do"}})


def test_a_file_that_nobody_listed_is_a_fault(ready: Path, tmp_path: Path) -> None:
    release = shutil.copytree(ready / "release", tmp_path / "release")
    (release / "training_args.bin").write_bytes(pickle.dumps(1))
    (release / "extra").mkdir()
    (release / "extra" / "notes.txt").write_text("x")
    found = find_faults(release, [])
    assert [one.partition(":")[0] for one in found] == ["extra/notes.txt", "training_args.bin"]


def test_what_changed_since_the_gate_is_not_pushed(ready: Path, tmp_path: Path) -> None:
    place = shutil.copytree(ready, tmp_path / "place")
    readme = place / "release" / "README.md"
    readme.write_text(readme.read_text() + "more")
    with pytest.raises(DataError, match=r"README\.md: not as it was when the gate"):
        push(place, str(tmp_path / "target"))
    assert not list(tmp_path.glob("target*"))


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_to_a_folder_and_to_memory_the_manifest_last(
    ready: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = str(tmp_path / "given") if kind == "folder" else "memory://given"
    moved: list[str] = []
    system_class = LocalFileSystem if kind == "folder" else MemoryFileSystem
    move = system_class.mv

    def noting(self: Any, source: str, to: str, **options: Any) -> None:
        moved.append(to.rsplit("/", 1)[1])
        move(self, source, to, **options)

    monkeypatch.setattr(system_class, "mv", noting)
    for _ in range(2):  # a second release takes the place of the first
        assert push(ready, target) == target
        assert moved[-1] == MANIFEST_NAME
        system, root = fsspec.core.url_to_fs(target)
        listed = json.loads(system.cat_file(f"{root}/{MANIFEST_NAME}"))["files"]
        there = {path.rsplit("/", 1)[1] for path in system.ls(root, False)}
        assert there == {*(one["path"] for one in listed), MANIFEST_NAME}
        for one in listed:
            assert (
                system.cat_file(f"{root}/{one['path']}")
                == (ready / "release" / one["path"]).read_bytes()
            )
        parent = root.rsplit("/", 1)[0] or "/"
        assert [path for path in system.ls(parent, False) if "incoming" in path] == []
    with pytest.raises(DataError, match="the Hub's"):
        push(ready, target, branch="next")
    if kind == "memory":
        system.rm(root, recursive=True)


def test_a_full_disk_leaves_nothing_under_the_name_and_the_same_command_goes_on(
    ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, sent = LocalFileSystem.put_file, []

    def full(self: Any, path: str, place: str, **options: Any) -> None:
        if len(sent) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        sent.append(path)
        put(self, path, place, **options)

    target = tmp_path / "given"
    with monkeypatch.context() as patched:
        patched.setattr(LocalFileSystem, "put_file", full)
        with pytest.raises(
            StorageError, match=r"No space left.*nothing stands there under its name"
        ):
            push(ready, str(target))
    assert not target.exists()
    said: list[str] = []
    targets.push(ready, str(target), log=said.append)
    assert sum("is there already" in line for line in said) == 4
    assert (target / MANIFEST_NAME).is_file()


def test_other_files_at_the_target_are_left_alone(ready: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "thesis.txt").write_text("x")
    with pytest.raises(DataError, match="holds files that are no release of ours"):
        push(ready, str(target))
    assert [path.name for path in target.iterdir()] == ["thesis.txt"]


def test_one_commit_on_the_hub_or_none(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    names = {path.name for path in (ready / "release").iterdir()}
    with releases.hub() as (served, address):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        assert push(ready, "hf://owner/tiny", branch="next").endswith("/commit/1")
        assert push(ready, "hf://owner/tiny", pull_request=True).endswith("/discussions/1")
        served.fails = True
        with pytest.raises(StorageError, match="hf://owner/tiny"):
            push(ready, "hf://owner/tiny")
    assert served.branches == ["next"]
    assert len(served.commits) == 2
    for commit in served.commits:
        assert set(commit["files"]) == names
        assert commit["gone"] == ["old.bin"]
        for name, content in commit["files"].items():
            assert content == (ready / "release" / name).read_bytes()
    assert "/commit/next" in served.commits[0]["path"]
    # Nobody listens there any more.
    with pytest.raises(StorageError, match="nothing stands there under its name"):
        push(ready, "hf://owner/tiny")
    with pytest.raises(DataError, match="write hf://owner/name"):
        push(ready, "hf://tiny")


@pytest.mark.slow
def test_the_command_shows_before_it_gives(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = {
        "name": "mine",
        "sources": [{"name": "news", "lang": "khm", "path": "x.jsonl", "license": "cc-by-4.0"}],
        "publish": {"license": "cc-by-4.0", "waivers": {"same_numbers": "no rows here"}},
    }
    Path("mine.yaml").write_text(yaml.safe_dump(recipe))
    Path("x.jsonl").write_text('{"text": "x"}\n')
    command = [
        "publish", "--recipe", "mine.yaml", "--home", str(tmp_path / "home"), "--model", str(world / "model"),
        "--evaluation", str(world / "evaluation"), "--to", str(tmp_path / "given"),
    ]  # fmt: skip
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    for said in (
        "model.safetensors",
        "# mine",
        "What mine learned from",
        "same_numbers",
        "ready: --push",
    ):
        assert said in shown.output
    assert not Path("given").exists()
    done = CliRunner().invoke(app, [*command, "--push"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "given" / MANIFEST_NAME).is_file()
    refused = CliRunner().invoke(app, ["publish", "--recipe", "mine.yaml", "--push"])
    assert isinstance(refused.exception, TonsaiError)
