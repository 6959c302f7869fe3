from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps import BadRow, HubLocation, read_dump_file
from tonsai_pipeline_tests.storage.dumps.files import read, texts

TEXTS = [f"ឯកសារ {index}" for index in range(2500)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set as the Hub has it: Parquet files named by split."""
    folder = tmp_path_factory.mktemp("hub") / "words"
    (folder / "data").mkdir(parents=True)
    for index, start in enumerate((0, 1000, 2000)):
        table = pa.table(
            {"text": TEXTS[start : start + 1000], "url": ["u"] * len(TEXTS[start : start + 1000])}
        )
        pq.write_table(table, folder / "data" / f"train-{index:05d}-of-00003.parquet")
    pq.write_table(
        pa.table({"text": ["test"], "url": ["u"]}), folder / "data" / "test-00000-of-00001.parquet"
    )
    return folder


def rows_of(location: HubLocation, **options: Any) -> list[Any]:
    return list(read_dump_file(location.url, **options))


@pytest.mark.parametrize("streaming", [True, False])
def test_a_split_is_read_in_order_with_its_other_columns(
    folder: Path, streaming: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    rows = rows_of(HubLocation(str(folder), streaming=streaming))
    assert [row.text for row in rows] == TEXTS
    assert (rows[7].row, rows[7].url) == (7, "u")


@pytest.mark.parametrize("streaming", [True, False])
def test_reading_stops_at_max_samples_and_goes_on_at_start_row(
    folder: Path, streaming: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    location = HubLocation(str(folder), streaming=streaming, max_samples=1500)
    assert [row.text for row in rows_of(location)] == TEXTS[:1500]
    assert [(row.text, row.row) for row in rows_of(location, start_row=1200)] == [
        (TEXTS[row], row) for row in range(1200, 1500)
    ]


@pytest.mark.parametrize(
    ("location", "pattern"),
    [
        (
            HubLocation("{}", split="trian"),
            r"split 'trian'.*has no split 'trian'.*listed.*(train|test)",
        ),
        (HubLocation("{}", config="khm_Khmr"), r"config 'khm_Khmr'.*no such config.*BuilderConfig"),
    ],
)
def test_a_wrong_split_or_config_is_named_with_those_there_are(
    folder: Path, location: HubLocation, pattern: str
) -> None:
    from dataclasses import replace

    with pytest.raises(DumpError, match=pattern):
        rows_of(replace(location, id=str(folder)))


def test_a_wrong_text_column_is_named_with_those_there_are(folder: Path) -> None:
    with pytest.raises(DumpError, match="no column 'body'; columns: text, url"):
        rows_of(HubLocation(str(folder)), text_column="body")


def test_an_id_that_cannot_be_reached_names_itself_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        DumpError, match=r"'nobody/nothing', config 'c', split 'train'.*(network|check the id)"
    ):
        rows_of(HubLocation("nobody/nothing", config="c"))


def test_an_id_that_does_not_exist_says_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    def missing(*_: object, **__: object) -> None:
        raise DatasetNotFoundError(
            "Dataset 'nobody/nothing' doesn't exist on the Hub or cannot be accessed."
        )

    monkeypatch.setattr(datasets, "load_dataset", missing)
    with pytest.raises(
        DumpError, match=r"nobody/nothing.*check the id, or log in with: hf auth login"
    ):
        rows_of(HubLocation("nobody/nothing"))


def test_a_network_that_fails_in_the_middle_is_an_error_and_not_an_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    class Failing:
        column_names = ("text",)

        def __iter__(self) -> Any:
            yield {"text": "first"}
            raise ConnectionError("reset by peer")

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: Failing())
    with pytest.raises(
        DumpError, match=r"reading failed at row 1: ConnectionError.*run the same command again"
    ):
        rows_of(HubLocation("a/b"))


def test_a_saved_data_set_is_read_from_its_folder(tmp_path: Path) -> None:
    import datasets

    path = tmp_path / "saved"
    datasets.Dataset.from_dict({"text": TEXTS, "n": list(range(len(TEXTS)))}).save_to_disk(
        str(path)
    )
    assert texts(path) == TEXTS
    good, _ = read(path, start_row=2400)
    assert [(row.row, row.meta) for row in good[:2]] == [(2400, '{"n":2400}'), (2401, '{"n":2401}')]
    [bad] = list(read_dump_file(str(path), text_column="body"))
    assert isinstance(bad, BadRow)
    assert (bad.reason, bad.num_rows) == ("missing_text_column", len(TEXTS))


def test_a_saved_data_set_with_splits_asks_for_one(tmp_path: Path) -> None:
    import datasets

    one = datasets.Dataset.from_dict({"text": ["a"]})
    datasets.DatasetDict({"train": one, "test": one}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DumpError, match=r"splits train, test.*saved/train"):
        texts(tmp_path / "saved")
    assert texts(tmp_path / "saved" / "train") == ["a"]


NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1)


@given(
    id=NAMES,
    config=st.none() | NAMES,
    split=NAMES,
    revision=st.none() | NAMES,
    streaming=st.booleans(),
    max_samples=st.none() | st.integers(1),
)
def test_a_location_survives_its_url(**fields: Any) -> None:
    assert HubLocation.parse(HubLocation(**fields).url) == HubLocation(**fields)
