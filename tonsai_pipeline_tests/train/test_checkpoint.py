"""A checkpoint is whole or not there; a damaged one is skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tonsai_pipeline.errors import TrainError
from tonsai_pipeline.recipe.train import CheckpointConfig, GuardConfig
from tonsai_pipeline.train.checkpoints.checkpoint import Checkpoints, TrainState


def state(step: int, fingerprint: str = "f") -> TrainState:
    guards = {"Guards": {"losses": [4.0, 3.9]}}
    return TrainState(step, fingerprint, "torch", 1, 0, step * 10, 1.5, ((3, 5),), 1, guards)


class Messages(list):
    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture
def messages() -> Messages:
    return Messages()


@pytest.fixture
def checkpoints(tmp_path: Path, messages: Messages) -> Checkpoints:
    return make(tmp_path, messages, keep_last=2)


def make(
    folder: Path,
    messages: Messages,
    min_free_gb: float = 0.0,
    on_full_disk: Literal["stop", "skip"] = "stop",
    expected: int = 0,
    **section,
) -> Checkpoints:
    return Checkpoints(
        folder / "checkpoints",
        CheckpointConfig(**section),
        GuardConfig(min_free_gb=min_free_gb, on_full_disk=on_full_disk),
        rank=0,
        on_trouble=messages,
        expected_bytes=expected,
    )


def save(checkpoints: Checkpoints, step: int, content: str = "weights") -> Path:
    def write(folder: Path) -> list[Path]:
        (folder / "state").mkdir()
        file = folder / "state" / "a.pt"
        file.write_text(f"{content} {step}")
        return [file]

    saved = checkpoints.save(state(step), write)
    assert saved is not None
    return saved


def test_the_newest_is_found_with_its_state(checkpoints: Checkpoints) -> None:
    save(checkpoints, 2)
    newest = save(checkpoints, 10)
    found = checkpoints.newest("f")
    assert found is not None
    assert (found.folder, found.state) == (newest, state(10))


def test_a_save_killed_in_the_middle_leaves_the_one_before(checkpoints: Checkpoints) -> None:
    save(checkpoints, 2)

    def dies(folder: Path) -> list[Path]:
        (folder / "half.pt").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(state(4), dies)
    found = checkpoints.newest("f")
    assert found is not None
    assert found.state.step == 2
    save(checkpoints, 4)
    assert not list(checkpoints.folder.glob(".tmp-*"))


@pytest.mark.parametrize(
    "damage", ["truncated", "flipped", "missing", "no manifest", "half manifest"]
)
def test_a_damaged_checkpoint_is_passed_over_and_named(
    checkpoints: Checkpoints, messages: Messages, damage: str
) -> None:
    save(checkpoints, 2)
    newest = save(checkpoints, 4)
    file, manifest = newest / "state" / "a.pt", newest / "manifest.json"
    match damage:
        case "truncated":
            file.write_text("weig")
        case "flipped":
            file.write_text("weighty 4"[: file.stat().st_size])
        case "missing":
            file.unlink()
        case "no manifest":
            manifest.unlink()
        case _:
            manifest.write_bytes(manifest.read_bytes()[:30])
    found = checkpoints.newest("f")
    assert found is not None
    assert found.state.step == 2
    assert len(messages) == 1
    assert "step-00000004" in messages[0]


def test_checkpoints_of_other_work_are_not_taken(checkpoints: Checkpoints) -> None:
    save(checkpoints, 2)
    assert checkpoints.newest("other") is None


def test_the_last_are_kept_and_those_at_round_steps(tmp_path: Path, messages: Messages) -> None:
    checkpoints = make(tmp_path, messages, keep_last=2, keep_every_steps=4)
    for step in range(2, 13, 2):
        save(checkpoints, step)
    kept = [int(path.name[5:]) for path in sorted(checkpoints.folder.iterdir())]
    assert kept == [4, 8, 10, 12]


def test_the_newest_up_to_a_step_is_found_and_later_ones_are_forgotten(
    checkpoints: Checkpoints,
) -> None:
    for step in (2, 4):
        save(checkpoints, step)
    found = checkpoints.newest("f", at_most=3)
    assert found is not None
    assert found.state.step == 2
    checkpoints.forget_after(2)
    newest = checkpoints.newest("f")
    assert newest is not None
    assert newest.state.step == 2


def test_a_nearly_full_disk_stops_the_run_before_anything_is_written(
    tmp_path: Path, messages: Messages
) -> None:
    first = save(make(tmp_path, messages), 2)
    checkpoints = make(tmp_path, messages, min_free_gb=1e9)
    with pytest.raises(TrainError, match="free some space") as caught:
        save(checkpoints, 4)
    assert caught.value.checkpoint == str(first)
    assert checkpoints.newest("f") is not None


def test_a_run_may_go_on_without_the_checkpoint_that_does_not_fit(
    tmp_path: Path, messages: Messages
) -> None:
    checkpoints = make(tmp_path, messages, on_full_disk="skip", expected=1 << 60)
    assert checkpoints.save(state(2), lambda _: []) is None
    assert list(checkpoints.folder.iterdir()) == []
    assert "step 2 is not saved" in messages[0]
    assert "a checkpoint needs 1152921504.6 GB" in messages[0]
