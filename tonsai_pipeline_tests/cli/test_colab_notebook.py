"""`examples/colab_h100.ipynb`: executed with its demo settings; the recipe of its GPU settings is valid."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import tonsai_pipeline
from tonsai_pipeline.recipe import load_recipe

nbformat = pytest.importorskip("nbformat", reason="the notebook's kernel is not installed")
NOTEBOOK = Path(tonsai_pipeline.__file__).parents[1] / "examples" / "colab_h100.ipynb"


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_kept_without_outputs(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.parametrize("demo", [True, False])
def test_its_recipes_are_valid(notebook: nbformat.NotebookNode, tmp_path: Path, demo: bool) -> None:
    (cell,) = [cell for cell in notebook.cells if cell.source.startswith("RECIPE =")]
    keep = (tmp_path / "keep").as_uri()
    exec(cell.source, {"WORK": tmp_path, "DEMO": demo, "KEEP": keep})
    recipe = load_recipe(tmp_path / "colab.yaml")
    assert recipe.train.checkpoint.upload_url == keep
    assert {source.lang for source in recipe.sources} == {"khm", "eng"}
    assert all((source.hub is None) == demo for source in recipe.sources)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_it_runs_and_resumes_after_a_disconnect(
    notebook: nbformat.NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient = pytest.importorskip("nbclient", reason="the notebook's kernel is not installed")
    monkeypatch.setenv("TONSAI_NOTEBOOK", "demo")
    monkeypatch.setenv("TONSAI_NOTEBOOK_WORK", str(tmp_path))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(NOTEBOOK.parents[1]), os.environ.get("PYTHONPATH", "")])
    )
    nbclient.NotebookClient(notebook, timeout=1200, kernel_name="python3").execute()
    text = "\n".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "disconnected; kept elsewhere: step-" in text
    assert "resuming from step-" in text
    assert (tmp_path / "colab-q8_0.gguf").is_file()
