"""What a newcomer does wrong: one line that names the thing, the place and the way out, and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tonsai_pipeline import __version__
from tonsai_pipeline.cli import main

RECIPE = "name: x\nsources:\n  - {name: a, lang: khm, path: nowhere.jsonl}\n"
HUB = "name: hub\nsources:\n  - {name: a, lang: khm, hub: {id: nobody/nothing}}\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder of a person without settings."""
    for name in ("TONSAI_HOME", "TONSAI_DATA", "TONSAI_RECIPE", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(RECIPE)
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "broken.yaml").write_text("name: [\n")
    (tmp_path / "utf16.yaml").write_bytes("name: x".encode("utf-16"))
    (tmp_path / "typo.yaml").write_text(RECIPE.replace("path", "paht"))
    (tmp_path / "lang.yaml").write_text(RECIPE.replace("khm", "km"))
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "file").write_text("")
    return tmp_path


def told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, str]:
    """Run the command line in this process; return its exit code and standard error."""
    monkeypatch.setattr(sys, "argv", ["tonsai", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run --recipe nowhere.yaml", "recipe 'nowhere.yaml': no such file, and the shipped recipes are: "),
        ("run --recipe dmeo", "did you mean 'demo'?"),
        ("run --recipe folder.yaml", "recipe 'folder.yaml': no such file"),
        ("run --recipe empty.yaml", "found an empty file; `tonsai init FOLDER` writes one"),
        ("run --recipe list.yaml", "a recipe is a mapping of sections, found list"),
        ("run --recipe broken.yaml", "broken.yaml: not readable as YAML: line 2: "),
        ("run --recipe utf16.yaml", "utf16.yaml: not readable as YAML"),
        ("run --recipe typo.yaml", "sources.0.paht: unknown key (value 'nowhere.jsonl'); did you mean 'path'?"),
        ("run --recipe lang.yaml", "sources.0.lang: Input should be 'khm' or 'eng' (value 'km')"),
        ("run --recipe x.yaml", "source 'a': path 'nowhere.jsonl' matches no file; relative paths start at"),
        ("run --recipe demo --select packed_shard", "unknown asset packed_shard"),
        ("run --recipe demo,x.yaml", "a command takes one"),
        ("run --home file", "is a file; set TONSAI_HOME or --home to a folder"),
        ("report", "tonsai run --select evaluation_report"),
        ("generate hello", "tonsai run --select pretrained_model"),
        ("peek raw_documents", "tonsai run --select raw_documents"),
        ("dedup-lookup hello", "tonsai run --select dump_catalog"),
        ("dumps add khm_new a.jsonl --date 20260101", "has no source 'khm_new'; did you mean 'khm_news'?"),
        ("dumps add khm_news a.jsonl --date 20260101", "'a.jsonl' matches no file"),
        ("dumps remove khm_news@20260101", "not in the catalog"),
        ("normalize missing.txt", "missing.txt: No such file"),
        ("init nowhere", "nowhere: no such folder"),
        ("init x.yaml", "x.yaml: is a file; name its folder"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_the_way_out(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    message: str,
) -> None:
    code, error = told(capsys, monkeypatch, *arguments.split())
    assert code == 1
    assert message in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TONSAI_HOME", "{place}/file", "is a file; set TONSAI_HOME or --home to a folder"),
        ("DAGSTER_HOME", "relative", "DAGSTER_HOME=relative: write the whole path"),
        ("DAGSTER_HOME", "{place}/file", "cannot be used: File exists"),
    ],
)
def test_a_wrong_place_is_named_with_its_variable(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setenv(name, value.format(place=place))
    code, error = told(capsys, monkeypatch, "run", "--recipe", "demo")
    assert (code, message in error) == (1, True), error
    assert len(error.strip().splitlines()) == 1


def test_places_set_to_nothing_are_places_not_set(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TONSAI_HOME", "TONSAI_DATA", "TONSAI_RECIPE", "DAGSTER_HOME"):
        monkeypatch.setenv(name, "")
    before = sorted(place.iterdir())
    told(capsys, monkeypatch, "run", "--recipe", "x.yaml")
    # All that is written lies in one folder.
    assert sorted(place.iterdir()) == sorted([*before, place / "tonsai_data"])


def test_without_a_network_the_data_set_and_the_way_out_are_named(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "hub.yaml").write_text(HUB)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "tonsai_pipeline", "run", "--recipe", "hub.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "'nobody/nothing'" in done.stderr
    assert "download it once and give the source its folder as 'path'" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_without_a_traceback(place: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tonsai_pipeline", "demo"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    lines = []
    for line in run.stderr:
        lines.append(line)
        if "normalized_documents" in line:
            break
    run.send_signal(number)
    _, rest = run.communicate(timeout=60)
    assert run.returncode in (130, -number), rest
    assert "Error" not in rest, rest
    assert "Traceback" not in rest, rest
    assert run.returncode < 0 or "run the same command again" in rest


def test_the_version_is_printed(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["tonsai", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.strip() == __version__
