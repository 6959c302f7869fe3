"""A conversation -> why it cannot be learned from, by the order of its turns; and what is asked in it.

(system), user, assistant, user, assistant, ... ──check_turns──▶ None, or a reason
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tonsai_pipeline.instructions.formats import Message

#: Why a conversation is dropped for its turns.
TURN_REASONS: Mapping[str, str] = {
    "no_reply": "nobody replies",
    "empty_turn": "a turn has no text",
    "turns_out_of_order": "user and assistant do not take turns, or the system speaks later than first",
    "holds_chat_marker": "a turn holds a special token as text, which would end it early",
}


def tidy(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Strip every turn, leave out an empty system turn, and what follows the last reply."""
    kept = [Message(role, text.strip()) for role, text in messages]
    if kept and kept[0] == Message("system", ""):
        kept = kept[1:]
    while kept and kept[-1].role != "assistant":
        kept.pop()
    return tuple(kept)


def check_turns(messages: Sequence[Message], markers: Collection[str]) -> str | None:
    """Return why a tidy conversation cannot be learned from; None if it can.

    Args:
        messages: The turns.
        markers: Special tokens that no turn may hold.

    Example:
        >>> check_turns([Message("user", "a"), Message("user", "b"), Message("assistant", "c")], ())
        'turns_out_of_order'
    """
    spoken = messages[1:] if messages and messages[0].role == "system" else messages
    if not spoken:
        return "no_reply"
    roles = [message.role for message in spoken]
    if roles != ["user", "assistant"] * (len(spoken) // 2):
        return "turns_out_of_order"
    if not all(message.content for message in messages):
        return "empty_turn"
    if any(marker in message.content for message in messages for marker in markers):
        return "holds_chat_marker"
    return None


def instruction_of(messages: Sequence[Message]) -> str:
    """Return all that the user says: what duplicates are found by."""
    return "\n".join(message.content for message in messages if message.role == "user")


def without_first_exchange(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Leave out the first turn of the user and its reply; the system's turn stays."""
    start = 1 if messages and messages[0].role == "system" else 0
    return (*messages[:start], *messages[start + 2 :])
