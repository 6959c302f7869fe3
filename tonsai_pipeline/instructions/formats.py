"""A row of an instruction set, in any of the common formats -> a conversation.

{"instruction": .., "input": .., "output": ..}         alpaca
{"conversations": [{"from": "human", "value": ..}]}    sharegpt
{"prompt": .., "completion": ..}                       prompt_completion     ──read_row──▶ (Message, Message, ...)
{"messages": [{"role": "user", "content": ..}]}        messages
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

#: Roles by the names that data sets have for them.
_ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user", "instruction": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant", "model": "assistant",
}  # fmt: skip
_ALPACA = (("instruction", "question"), ("input", "context"), ("output", "response", "answer"))
_PAIR = (("prompt", "query"), ("completion", "response", "chosen"))


class Message(NamedTuple):
    """A turn: `role` is system, user or assistant."""

    role: str
    content: str


class NotAConversation(ValueError):  # noqa: N818  # a fact about the row
    """A row that cannot be read.

    Args:
        reason: A fact about the row, in `ROW_REASONS`.
        detail: What exactly.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


#: Why a row is no conversation.
ROW_REASONS: Mapping[str, str] = {
    "unknown_format": "the row has the fields of no known format",
    "missing_field": "a field of the format is missing",
    "not_text": "a turn holds something else than text, such as a picture or a call of a tool",
    "unknown_role": "a turn is by somebody who is neither system, user nor assistant",
}


def read_row(row: Mapping[str, Any], format_name: str = "auto") -> tuple[Message, ...]:
    r"""Read one row.

    Args:
        row: Fields by name; lists may be written as JSON, as CSV files have them.
        format_name: messages, sharegpt, alpaca, prompt_completion, or auto.

    Raises:
        NotAConversation: It is not of that format.

    Example:
        >>> read_row({"instruction": "add", "input": "1 2", "output": "3"})
        (Message(role='user', content='add\n\n1 2'), Message(role='assistant', content='3'))
        >>> read_row({"conversations": [{"from": "human", "value": "hi"}]})
        (Message(role='user', content='hi'),)
    """
    name = find_format(row) if format_name == "auto" else format_name
    return _READERS[name](row)


def find_format(row: Mapping[str, Any]) -> str:
    """Tell the format by the fields of a row.

    Raises:
        NotAConversation: They are those of none.
    """
    fields = {name for name, value in row.items() if value is not None}
    if "messages" in fields:
        return "messages"
    if "conversations" in fields or "conversation" in fields:
        return "sharegpt"
    if fields & set(_ALPACA[0]) and fields & set(_ALPACA[2]):
        return "alpaca"
    if fields & set(_PAIR[0]) and fields & set(_PAIR[1]):
        return "prompt_completion"
    raise NotAConversation("unknown_format", f"fields: {', '.join(sorted(row)) or 'none'}")


def _messages(row: Mapping[str, Any]) -> tuple[Message, ...]:
    return tuple(_turn(one, "role", "content") for one in _list(row, "messages"))


def _sharegpt(row: Mapping[str, Any]) -> tuple[Message, ...]:
    name = "conversations" if row.get("conversations") is not None else "conversation"
    turns = _list(row, name)
    # Some sets have the field names of `messages` under this one's.
    named = bool(turns) and isinstance(turns[0], Mapping) and "role" in turns[0]
    keys = ("role", "content") if named else ("from", "value")
    read = tuple(_turn(one, *keys) for one in turns)
    system = row.get("system")
    return (Message("system", system), *read) if isinstance(system, str) and system else read


def _alpaca(row: Mapping[str, Any]) -> tuple[Message, ...]:
    instruction, given, output = (_field(row, names) for names in _ALPACA)
    if instruction is None or output is None:
        raise NotAConversation("missing_field", "instruction or output")
    asked = f"{instruction}\n\n{given}" if given and given.strip() else instruction
    return Message("user", asked), Message("assistant", output)


def _prompt_completion(row: Mapping[str, Any]) -> tuple[Message, ...]:
    prompt, completion = (_first(row, names) for names in _PAIR)
    if prompt is None or completion is None:
        raise NotAConversation("missing_field", "prompt or completion")
    if isinstance(prompt, list) and isinstance(completion, list):
        return tuple(_turn(one, "role", "content") for one in (*prompt, *completion))
    return (
        Message("user", _text(prompt, "prompt")),
        Message("assistant", _text(completion, "completion")),
    )


_READERS: Mapping[str, Callable[[Mapping[str, Any]], tuple[Message, ...]]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "prompt_completion": _prompt_completion,
}


def _turn(turn: Any, role_key: str, text_key: str) -> Message:
    if not isinstance(turn, Mapping):
        raise NotAConversation("not_text", f"a turn is {type(turn).__name__}")
    role = _ROLES.get(str(turn.get(role_key)).lower())
    if role is None:
        raise NotAConversation("unknown_role", repr(turn.get(role_key)))
    return Message(role, _text(turn.get(text_key), text_key))


def _text(value: Any, where: str) -> str:
    """Return a turn's text; content given in parts is joined if all of them are text."""
    if isinstance(value, list) and all(
        isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in value
    ):
        return "".join(part["text"] for part in value)
    if not isinstance(value, str):
        raise NotAConversation("not_text", f"{where} is {type(value).__name__}")
    return value


def _list(row: Mapping[str, Any], name: str) -> list[Any]:
    value = row.get(name)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise NotAConversation("not_text", f"{name} is no JSON list: {error}") from error
    if not isinstance(value, list):
        raise NotAConversation("missing_field", name)
    return value


def _field(row: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    value = _first(row, names)
    return None if value is None else _text(value, names[0])


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)
