"""`tonsai chat`: lines that a person types -> replies, as they are written.

    "សួស្តី" ──▶ turns within the context ──▶ reply, piece by piece
    "/seed 7" ──▶ a setting

A base model takes no turns: it goes on from each line by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.opened import OpenModel
from tonsai_pipeline.serve.prompt import Message, Typed
from tonsai_pipeline.serve.reply import Reply, Sampling
from tonsai_pipeline.storage.files import write_json

HELP = """\
/help               this
/new                forget the conversation
/retry              another reply to the last message, with the next seed
/undo               take back the last message and its reply
/system [TEXT]      what the model is told before the conversation; nothing: no longer
/temperature N      0 takes the likeliest token
/top-p N            draw from the likeliest tokens that together hold this probability
/tokens N           tokens of a reply, at most
/seed N             same seed, same reply
/show               settings, and the conversation as the model is given it
/save FILE          the conversation as JSON
/quit               leave (as Ctrl-D does); Ctrl-C stops a reply
A line that ends in \\ goes on in the next one."""


@dataclass(frozen=True)
class Screen:
    """Where a conversation is shown.

    Args:
        say: Shows a piece of a reply, without a line break.
        note: Shows a line about the conversation.
    """

    say: Callable[[str], object]
    note: Callable[[str], object]


class Chat:
    """A conversation with a model.

    Args:
        opened: The model.
        place: Where it is from; a folder says how text is normalized.
        screen: Where it is shown.
        sampling: How replies are drawn.
        system: What the model is told first; empty: nothing.
    """

    def __init__(
        self,
        opened: OpenModel,
        place: Path | str,
        screen: Screen,
        sampling: Sampling,
        system: str = "",
    ) -> None:
        self._opened = opened
        self._typed = Typed(opened, place)
        self._screen = screen
        self.sampling = sampling
        self.system = system
        self.turns: list[Message] = []
        self._commands: dict[str, Callable[[str], object]] = {
            "help": lambda _: screen.note(HELP),
            "new": lambda _: self.turns.clear(),
            "retry": self._retry,
            "undo": self._undo,
            "system": self._set_system,
            "temperature": lambda said: self._set("temperature", float(said), 0.0, 10.0),
            "top-p": lambda said: self._set("top_p", float(said), 0.01, 1.0),
            "tokens": lambda said: self._set("max_new_tokens", int(said), 1, 1 << 20),
            "seed": lambda said: self._set("seed", int(said), 0, (1 << 31) - 1),
            "show": self._show,
            "save": self._save,
        }

    def run(self, lines: Iterator[str]) -> None:
        """Answer lines until they end or one says /quit."""
        for line in joined(lines):
            if line.strip() in ("/quit", "/exit"):
                return
            self.take(line)

    def take(self, line: str) -> None:
        """Obey a command, or answer."""
        if not line.strip():
            return
        if not line.startswith("/"):
            self._ask(line)
            return
        name, _, said = line[1:].strip().partition(" ")
        command = self._commands.get(name)
        if command is None:
            self._screen.note(f"/{name}: no such command; /help lists them")
            return
        try:
            command(said.strip())
        except (ValueError, OSError) as error:
            self._screen.note(f"/{name}: {error}")

    def _ask(self, line: str) -> None:
        try:
            ids = self._prompt(line)
            reply = Reply(self._opened, ids, self.sampling)
            self._show_reply(reply)
        except ValueError as error:
            self._screen.note(str(error))
            return
        if self._opened.takes_turns:
            self.turns += [
                {"role": "user", "content": line},
                {"role": "assistant", "content": reply.text},
            ]

    def _prompt(self, line: str) -> list[int]:
        room = self.sampling.max_new_tokens
        if not self._opened.takes_turns:
            return self._typed.text(line, max_new_tokens=room)
        asked: Message = {"role": "user", "content": line}
        fitted = self._typed.turns(
            [*self._system(), *self.turns, asked], max_new_tokens=room, drop_oldest=True
        )
        if fitted.num_dropped:
            # What is no longer given is forgotten, and said once.
            self.turns = self.turns[fitted.num_dropped :]
            self._screen.note(
                f"the context of {self._opened.context:,} tokens is full: the oldest {fitted.num_dropped} messages are "
                "forgotten"
            )
        return fitted.ids

    def _show_reply(self, reply: Reply) -> None:
        pieces = iter(reply)
        try:
            for piece in pieces:
                self._screen.say(piece)
        except KeyboardInterrupt:
            # What is written stays, as a person who stops a reply expects.
            self._screen.say("\n")
            self._screen.note("stopped")
            return
        self._screen.say("\n")
        if reply.finish_reason == "length":
            self._screen.note(f"cut after {reply.num_tokens} tokens (/tokens N)")

    def _system(self) -> list[Message]:
        return [{"role": "system", "content": self.system}] if self.system else []

    def _set(self, name: str, value: float, least: float, most: float) -> None:
        if not least <= value <= most:
            raise ValueError(f"from {least} to {most}")
        self.sampling = replace(self.sampling, **{name: value})

    def _set_system(self, said: str) -> None:
        if not self._opened.takes_turns:
            raise ValueError("a base model is told nothing: it goes on from what is typed")
        self.system = said

    def _undo(self, _: str) -> None:
        if not self.turns:
            raise ValueError("there is nothing to take back")
        self.turns = self.turns[:-2]

    def _retry(self, _: str) -> None:
        if not self.turns:
            raise ValueError("there is nothing to answer again")
        asked = self.turns[-2]["content"]
        self.turns = self.turns[:-2]
        self.sampling = replace(self.sampling, seed=self.sampling.seed + 1)
        self._ask(asked)

    def _show(self, _: str) -> None:
        sampling = self.sampling
        self._screen.note(
            f"{self._opened.name}: temperature {sampling.temperature}, top-p {sampling.top_p}, "
            f"tokens {sampling.max_new_tokens}, seed {sampling.seed}"
        )
        for message in [*self._system(), *self.turns]:
            self._screen.note(f"{message['role']}: {message['content']}")

    def _save(self, said: str) -> None:
        if not said:
            raise ValueError("to which file?")
        write_json(Path(said), {"messages": [*self._system(), *self.turns]})
        self._screen.note(f"saved: {said}")


def joined(lines: Iterator[str]) -> Iterator[str]:
    """Join lines that end in a backslash with the next one."""
    held: list[str] = []
    for line in lines:
        if line.endswith("\\"):
            held.append(line[:-1])
            continue
        yield "\n".join([*held, line])
        held = []
    if held:
        yield "\n".join(held)


def greeting(opened: OpenModel, system: str) -> str:
    """Return the first line that a person sees.

    Raises:
        DataError: A base model is told nothing.
    """
    if opened.takes_turns:
        return f"{opened.name}: /help lists commands, Ctrl-D leaves"
    if system:
        raise DataError(
            f"{opened.name}: a base model, which was not tuned to follow; leave out --system"
        )
    return (
        f"{opened.name}: a base model. It goes on from each line and remembers none; tuned models converse. "
        "/help lists commands"
    )
