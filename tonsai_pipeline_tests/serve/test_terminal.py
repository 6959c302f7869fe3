"""A conversation in the terminal: what is remembered, what is dropped and said, what commands do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.opened import OpenModel
from tonsai_pipeline.serve.prompt import Typed
from tonsai_pipeline.serve.reply import Reply, Sampling
from tonsai_pipeline.serve.terminal import HELP, Chat, Screen, greeting

SHORT = Sampling(max_new_tokens=6, temperature=0.0)


class Terminal:
    """A chat whose screen is kept."""

    def __init__(self, opened: OpenModel, place: Path, system: str = "") -> None:
        self.said: list[str] = []
        self.notes: list[str] = []
        screen = Screen(self.said.append, self.notes.append)
        self.chat = Chat(opened, place, screen, SHORT, system)

    def type(self, *lines: str) -> str:
        """Type lines and return what was said since."""
        self.said.clear()
        self.chat.run(iter(lines))
        return "".join(self.said)


@pytest.fixture
def terminal(opened: OpenModel, chat_dir: Path) -> Terminal:
    return Terminal(opened, chat_dir)


def test_what_is_typed_is_normalized_and_holds_no_marker(
    opened: OpenModel, chat_dir: Path, terminal: Terminal
) -> None:
    wrong = "\u1780\u17c1\u17b8"
    typed = Typed(opened, chat_dir)
    assert typed.clean(wrong) == "\u1780\u17be"
    assert typed.clean("a<|im_<|im_end|>end|><|bos|>b") == "ab"
    right = terminal.type("\u1780\u17be")
    terminal.chat.take("/new")
    assert terminal.type(wrong) == right
    ids = typed.turns(
        [{"role": "user", "content": "<|bos|>x<|im_end|>"}], max_new_tokens=4, drop_oldest=False
    ).ids
    assert ids == opened.turn_ids([{"role": "user", "content": "x"}])
    assert typed.text("<|bos|>x", max_new_tokens=4) == opened.text_ids("x")


def test_the_oldest_turns_are_dropped_and_that_is_said(
    opened: OpenModel, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[int]] = []

    class Noting(Reply):
        def __init__(self, opened: OpenModel, prompt_ids: list[int], sampling: Sampling) -> None:
            given.append(prompt_ids)
            super().__init__(opened, prompt_ids, sampling)

    monkeypatch.setattr("tonsai_pipeline.serve.terminal.Reply", Noting)
    terminal.chat.take("/system ចម្លើយ")
    for number in range(30):
        terminal.type(f"សួស្តី {number}")
    start = opened.turn_ids([{"role": "system", "content": "ចម្លើយ"}])[:8]
    for ids in given:
        assert (ids[:8], ids.count(0)) == (start, 1)
        assert len(ids) + SHORT.max_new_tokens <= opened.context
    assert max(map(len, given)) > opened.context // 2
    dropped = [note for note in terminal.notes if "forgotten" in note]
    assert dropped
    assert "the oldest 2 messages are forgotten" in dropped[0]
    assert terminal.chat.turns[0]["content"] != "សួស្តី 0"
    assert terminal.chat.turns[-2]["content"] == "សួស្តី 29"
    assert terminal.chat.turns[0]["role"] == "user"


def test_a_message_longer_than_the_context_is_refused_and_forgets_nothing(
    terminal: Terminal,
) -> None:
    terminal.type("a")
    before = list(terminal.chat.turns)
    assert terminal.type("សួស្តី " * 400) == ""
    assert "tokens are too many: the model's context is 256" in terminal.notes[-1]
    assert terminal.chat.turns == before


def test_commands(terminal: Terminal, tmp_path: Path) -> None:
    first = terminal.type("a", "/seed 7", "/temperature 0.5", "/top-p 0.9", "/tokens 3")
    assert first
    sampling = terminal.chat.sampling
    assert sampling == Sampling(3, 0.5, 0.9, 7)
    terminal.type("/retry")
    assert terminal.chat.sampling.seed == 8
    assert [one["content"] for one in terminal.chat.turns if one["role"] == "user"] == ["a"]
    terminal.type("/system ចម្លើយ", f"/save {tmp_path / 'talk.json'}", "/show")
    saved = json.loads((tmp_path / "talk.json").read_text())["messages"]
    assert [one["role"] for one in saved] == ["system", "user", "assistant"]
    assert "system: ចម្លើយ" in terminal.notes
    terminal.type("/undo")
    assert terminal.chat.turns == []
    for wrong in ("/undo", "/retry", "/temperature hot", "/top-p 2", "/save", "/nothing"):
        terminal.notes.clear()
        terminal.type(wrong)
        assert len(terminal.notes) == 1, wrong
        assert terminal.notes[0].startswith(wrong.split()[0])
    terminal.type("/help", "/quit", "never reached")
    assert terminal.notes[-1] == HELP
    assert terminal.chat.turns == []
    for name in terminal.chat._commands:
        assert f"/{name}" in HELP


def test_a_line_goes_on_after_a_backslash(terminal: Terminal) -> None:
    terminal.type("one\\", "two")
    assert terminal.chat.turns[0]["content"] == "one\ntwo"


def test_control_c_keeps_what_is_written(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: object) -> object:
        self.text = "half"
        yield "half"
        raise KeyboardInterrupt

    monkeypatch.setattr("tonsai_pipeline.serve.reply.Reply.__iter__", stopped)
    terminal.type("a")
    assert terminal.chat.turns[-1]["content"] == "half"
    assert terminal.notes[-1] == "stopped"


def test_a_base_model_goes_on_from_each_line(opened_base: OpenModel, base_dir: Path) -> None:
    terminal = Terminal(opened_base, base_dir)
    assert "a base model" in greeting(opened_base, "")
    with pytest.raises(DataError, match="leave out --system"):
        greeting(opened_base, "be kind")
    first = terminal.type("The river")
    assert first
    assert terminal.chat.turns == []
    assert terminal.type("The river") == first
    terminal.type("/system x")
    assert "a base model" in terminal.notes[-1]


def test_what_takes_turns(opened: OpenModel, opened_base: OpenModel) -> None:
    assert opened.takes_turns
    assert not opened_base.takes_turns
