"""`tonsai export`: every split in a place of its own, an unknown split refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tonsai_pipeline.cli.export import export
from tonsai_pipeline.errors import DataError
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.remote_rows import open_rows
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.storage.store import Store
from tonsai_pipeline_tests.storage.test_shards import files_of, header_of, random_block, write

SIZES = {"train": 30, "val_eng": 0, "val_khm": 4}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """packed_shards of the demo recipe, in the data root `tmp_path/home`."""

    def make(folder: Path) -> dict[str, int]:
        for seed, (name, num_rows) in enumerate(SIZES.items()):
            write(folder / name, random_block(num_rows, seed), header_of())
        return {}

    store = Store(Layout(tmp_path / "home", "demo"))
    return store.materialize(
        "packed_shards", None, "f" * 64, make, stage_version="test", settings={}, inputs={}
    ).path


def run(tmp_path: Path, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(export)
    return CliRunner().invoke(
        app, ["--home", str(tmp_path / "home"), "--recipe", "demo", *arguments]
    )


def test_shards_are_copied_to_a_url(shards: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'bucket'}"
    done = run(tmp_path, "--format", "shards", "--output", url)
    assert done.exit_code == 0, done.output
    for name, num_rows in SIZES.items():
        reader = open_rows(f"{url}/{name}", tmp_path / "cache")
        assert reader.num_rows == num_rows
        assert files_of(reader.folder) == files_of(shards / name)


def test_megatron_files_and_datasets_are_written_for_the_chosen_splits(
    shards: Path, tmp_path: Path
) -> None:
    import datasets

    output = str(tmp_path / "out")
    done = run(tmp_path, "--format", "megatron", "--output", output)
    assert done.exit_code == 0, done.output
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == ["train.bin", "train.idx", "val_khm.bin", "val_khm.idx"]
    assert "val_eng: no rows" in done.output
    done = run(tmp_path, "--split", "val_khm", "--output", output)
    assert done.exit_code == 0, done.output
    rows = datasets.load_from_disk(f"{output}/val_khm")
    assert len(rows) == RowReader(shards / "val_khm").num_rows
    assert not (tmp_path / "out" / "train").exists()


def test_an_unknown_split_is_refused(shards: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "--split", "test", "--output", str(tmp_path / "out"))
    assert isinstance(done.exception, DataError)
    assert "train, val_eng, val_khm" in str(done.exception)
