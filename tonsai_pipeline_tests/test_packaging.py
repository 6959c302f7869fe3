"""What is installed: the wheel alone is the Khmer text tools, and what is missing is named with its extra."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from tonsai_pipeline.errors import missing_extra

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def uv(*arguments: str | Path) -> None:
    """Run uv, or skip where there is no registry to ask."""
    if shutil.which("uv") is None:
        pytest.skip("uv is not on the PATH")
    done = subprocess.run(["uv", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode and re.search(
        r"network|connect|dns|offline|fetch|timed? ?out", done.stderr, re.I
    ):
        pytest.skip(f"no package registry: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds the wheel and its base dependencies, nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    [wheel] = folder.glob("*.whl")
    uv("venv", "--quiet", folder / "env")
    uv("pip", "install", "--quiet", "--python", folder / "env", wheel)
    return folder / "env" / ("Scripts" if os.name == "nt" else "bin")


def run(program: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [program, *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        cwd=program.parent,
        env=environment,
    )


@pytest.mark.slow
def test_the_wheel_alone_normalizes_khmer(installed: Path) -> None:
    wrong = "\u1780\u17c1\u17b8\n"
    done = run(installed / "tonsai", "normalize", text=wrong)
    assert (done.returncode, done.stdout) == (0, "\u1780\u17be\n"), done.stderr
    assert run(installed / "tonsai", "--help").returncode == 0
    code = "import tonsai_pipeline.text, tonsai_pipeline.dedup.minhash, tonsai_pipeline.quality.signals"
    assert run(installed / "python", "-c", code).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("run", "--recipe", "demo"), "pipeline"),
        (("init", "."), "pipeline"),
        (("demo",), "pipeline"),
    ],
)
def test_a_missing_extra_is_one_line_that_names_it(
    installed: Path, command: tuple[str, ...], extra: str
) -> None:
    done = run(installed / "tonsai", *command)
    [line] = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert line.startswith("MissingExtraError: this needs ")
    assert line.endswith(f"pip install 'tonsai-pipeline[{extra}]'")


def test_every_package_of_an_extra_is_found_by_the_name_it_is_imported_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extras = PROJECT["optional-dependencies"]

    def rows(extra: str) -> list[str]:
        """Return what an extra brings, as a wheel says it: those that it names are written out."""
        return [
            inner
            for row in extras[extra]
            for inner in (
                [one for name in row[16:-1].split(",") for one in rows(name)]
                if row.startswith("tonsai-pipeline[")
                else [row]
            )
        ]

    written = [f"{row}; extra == '{extra}'" for extra in sorted(extras) for row in rows(extra)]
    monkeypatch.setattr(metadata, "requires", lambda _: written)
    modules = {
        "dagster": "pipeline", "yaml": "pipeline", "warcio": "web",
        "torch": "train", "ray": "ray",
    }  # fmt: skip
    for module, extra in modules.items():
        found = missing_extra(ModuleNotFoundError("no", name=f"{module}.inner"))
        assert str(found).endswith(f"pip install 'tonsai-pipeline[{extra}]'"), module
    assert missing_extra(ModuleNotFoundError("no", name="nothing_of_ours")) is None


def test_every_dependency_has_a_lower_bound_and_all_holds_every_extra() -> None:
    extras = PROJECT["optional-dependencies"]
    rows = [*PROJECT["dependencies"], *(row for extra in extras.values() for row in extra)]
    assert [
        row
        for row in rows
        if ">=" not in row and "==" not in row and not row.startswith("tonsai-pipeline[")
    ] == []
    [everything] = extras["all"]
    named = set(everything.partition("[")[2].rstrip("]").split(","))
    assert named == set(extras) - {"all"}


def test_the_version_has_one_place() -> None:
    from tonsai_pipeline import __version__

    assert PROJECT["dynamic"] == ["version"]
    assert metadata.version("tonsai-pipeline") == __version__
