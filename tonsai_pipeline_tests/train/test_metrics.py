"""metrics.jsonl holds each step once, whatever happened to the run."""

from __future__ import annotations

from pathlib import Path

from tonsai_pipeline.storage.job_folder import read_metrics
from tonsai_pipeline.train.records.metrics import EVENT, TRAIN, VALIDATION, Metrics
from tonsai_pipeline.train.records.trackers import TensorBoard


def test_a_resumed_run_forgets_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = Metrics(path, rank=0)
    first.rewind(0)
    first.write(VALIDATION, 0, khm={"loss": 5.0})
    for step in (1, 2, 3):
        first.write(TRAIN, step, loss=float(step))
    first.write(EVENT, 3, message="skipped")
    with path.open("ab") as stream:
        stream.write(b'{"kind":"train","st')  # killed in the middle of a line
    again = Metrics(path, rank=0)
    again.rewind(2)
    again.write(TRAIN, 3, loss=30.0)
    found = [(r["kind"], r["step"], r.get("loss")) for r in read_metrics(path)]
    assert found == [
        (VALIDATION, 0, None),
        (TRAIN, 1, 1.0),
        (TRAIN, 2, 2.0),
        (EVENT, 3, None),
        (TRAIN, 3, 30.0),
    ]


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "metrics.jsonl", rank=1, trackers=[TensorBoard(tmp_path / "tb")])
    metrics.rewind(0)
    metrics.write(TRAIN, 1, loss=1.0)
    metrics.close()
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_sees_numbers_at_any_depth(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    metrics = Metrics(tmp_path / "metrics.jsonl", rank=0, trackers=[TensorBoard(tmp_path / "tb")])
    metrics.rewind(0)
    metrics.write(VALIDATION, 0, khm={"loss": 5.0, "num_rows": 3}, note="text")
    metrics.close()
    events = EventAccumulator(str(tmp_path / "tb"))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["validation/khm/loss", "validation/khm/num_rows"]
    assert events.Scalars("validation/khm/loss")[0].value == 5.0


def test_samples_stand_in_the_file_and_in_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path, rank=0, trackers=[TensorBoard(tmp_path / "tb")])
    metrics.rewind(0)
    metrics.write_samples(7, [{"language": "eng", "prompt": "One", "text": "two\nthree"}])
    metrics.close()
    assert read_metrics(path)[0]["samples"][0]["text"] == "two\nthree"
    events = EventAccumulator(str(tmp_path / "tb"))
    events.Reload()
    [shown] = events.Tensors("sample/eng/0/text_summary")
    assert shown.step == 7
    assert b"One | two" in shown.tensor_proto.string_val[0]
