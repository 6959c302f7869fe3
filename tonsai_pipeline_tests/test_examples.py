"""`examples/`: each is executed here, at a small size (`colab_h100.ipynb` and `khmer_500m.sh` under cli/)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tonsai_pipeline

ROOT = Path(tonsai_pipeline.__file__).parents[1]
EXAMPLES = ROOT / "examples"


@pytest.mark.slow
def test_the_normalizer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the notebook's kernel is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the notebook's kernel is not installed")
    notebook = nbformat.read(EXAMPLES / "normalize_only.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all((cell.outputs, cell.execution_count) == ([], None) for cell in code)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    printed = "".join(out.get("text", "") for cell in code for out in cell.outputs)
    assert "{'composed': 0" not in printed
    assert "['ភាសាខ្មែរ', 'មាន', 'ភ្នំពេញ']" in printed


@pytest.mark.slow
def test_one_dump_end_to_end(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "one_dump_end_to_end.py")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert "packed_shards" in done.stdout
    assert "the first document:" in done.stdout
