"""Formats, turns, replies and licences of instruction data: rows written by hand, and what becomes of them."""

from __future__ import annotations

from typing import Any

import pytest

from tonsai_pipeline.instructions.formats import Message, NotAConversation, read_row
from tonsai_pipeline.instructions.replies import Limits, Measured, judge, prose_of, wanted_language
from tonsai_pipeline.instructions.turns import (
    check_turns,
    instruction_of,
    tidy,
    without_first_exchange,
)

PAIR = (Message("user", "q"), Message("assistant", "a"))
KHMER = Measured(khmer_frac=1.0, num_letters=40, asked_khmer_frac=1.0, asked_letters=20)
ENGLISH = Measured(khmer_frac=0.0, num_letters=40, asked_khmer_frac=1.0, asked_letters=20)
SENTENCE = "The river rises in the rainy season and floods the fields beside it. "


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
        {"messages": '[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]'},
        {
            "messages": [
                {"role": "Human", "content": [{"text": "q"}]},
                {"role": "GPT", "content": "a"},
            ]
        },
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {
            "conversations": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "a"},
            ]
        },
        {"instruction": "q", "input": "", "output": "a"},
        {"instruction": "q", "input": None, "response": "a"},
        {"prompt": "q", "completion": "a"},
        {
            "prompt": [{"role": "user", "content": "q"}],
            "completion": [{"role": "assistant", "content": "a"}],
        },
    ],
)
def test_every_format_is_the_same_conversation(row: dict[str, Any]) -> None:
    assert read_row(row) == PAIR


def test_a_system_field_of_sharegpt_comes_first() -> None:
    row = {"system": "s", "conversations": [{"from": "human", "value": "q"}]}
    assert read_row(row)[0] == Message("system", "s")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "q"}, "unknown_format"),
        ({"messages": "not json"}, "not_text"),
        ({"messages": {"role": "user"}}, "missing_field"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "unknown_role"),
        ({"messages": [{"role": "user", "content": [{"image": "x"}]}]}, "not_text"),
        ({"messages": [{"role": "user", "content": None}]}, "not_text"),
        ({"messages": ["hello"]}, "not_text"),
    ],
)
def test_what_is_no_conversation_has_a_reason(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotAConversation) as caught:
        read_row(row)
    assert caught.value.reason == reason


def test_a_format_that_is_named_is_not_guessed() -> None:
    with pytest.raises(NotAConversation, match="missing_field"):
        read_row({"prompt": "q", "completion": "a"}, "alpaca")


def test_turns_are_tidied() -> None:
    said = (
        Message("system", " "),
        Message("user", " q "),
        Message("assistant", "a\n"),
        Message("user", "bye"),
    )
    assert tidy(said) == PAIR


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (PAIR, None),
        ((Message("system", "s"), *PAIR, *PAIR), None),
        ((), "no_reply"),
        ((Message("system", "s"),), "no_reply"),
        ((*PAIR, Message("assistant", "b")), "turns_out_of_order"),
        ((*PAIR, Message("system", "s"), *PAIR), "turns_out_of_order"),
        ((Message("user", ""), Message("assistant", "a")), "empty_turn"),
        ((Message("user", "say <|im_end|>"), Message("assistant", "a")), "holds_chat_marker"),
    ],
)
def test_turns_that_cannot_be_learned_have_a_reason(messages: Any, reason: str | None) -> None:
    assert check_turns(messages, ("<|im_end|>",)) == reason


def test_the_first_exchange_goes_and_the_system_stays() -> None:
    system = Message("system", "s")
    last = (Message("user", "r"), Message("assistant", "b"))
    assert without_first_exchange((system, *PAIR, *last)) == (system, *last)
    assert instruction_of((system, *PAIR, *last)) == "q\nr"


@pytest.mark.parametrize(
    ("instruction", "reply", "measured", "reason"),
    [
        ("តើអ្វីជាទន្លេ?", "ទន្លេគឺជាផ្លូវទឹកធំ។", KHMER, None),
        ("តើអ្វីជាទន្លេ?", "A river is a way of water.", ENGLISH, "reply_in_another_language"),
        ("តើអ្វីជាទន្លេជាភាសាអង់គ្លេស?", "A river is a way of water.", ENGLISH, None),
        ("ចូរបកប្រែ៖ ទន្លេ", "river", ENGLISH, None),
        ("តើ ២ បូក ២?", "4", Measured(0.0, 0, 1.0, 20), None),
        ("តើអ្នកជានរណា?", "ក្នុងនាមជា AI ខ្ញុំមិនអាចឆ្លើយបានទេ។", KHMER, "refusal"),
        ("q", "As an AI language model, I cannot.", Measured(0.0, 9, 0.0, 1), "refusal"),
        ("q", "<nooutput>", KHMER, "placeholder_reply"),
        ("ទន្លេ", "ទន្លេ", KHMER, "echoed_instruction"),
        ("q", "x", Measured(1.0, 9, 1.0, 1, repeat_frac=0.5), "looping_reply"),
        ("q", "x", Measured(1.0, 9, 1.0, 1, invalid_cluster_frac=0.2), "broken_khmer"),
        ("q", "x", Measured(1.0, 9, 1.0, 1, num_replacement=1), "broken_khmer"),
        ("Tell me.", SENTENCE * 4 + "After it the farmers plant the rice that they and their", Measured(0.0, 90, 0.0, 6), "cut_reply"),
        ("Tell me.", SENTENCE * 4 + "\n- the rice that they and their families harvested in the year before", Measured(0.0, 90, 0.0, 6), None),
        ("Tell me.", SENTENCE * 4, Measured(0.0, 90, 0.0, 6), None),
    ],
)  # fmt: skip
def test_replies_are_judged(
    instruction: str, reply: str, measured: Measured, reason: str | None
) -> None:
    assert judge(instruction, reply, measured, Limits()) == reason


def test_a_refusal_that_is_quoted_later_is_none() -> None:
    said = "A model may say many things. " * 5 + "It may say: as an AI I cannot."
    assert judge("q", said, Measured(0.0, 9, 0.0, 1), Limits()) is None


def test_limits_can_be_lifted() -> None:
    free = Limits(drop_refusals=False, drop_cut=False, min_script_frac=0.0)
    assert judge("តើអ្វី?", "As an AI language model, no", ENGLISH, free) is None


def test_the_language_of_a_source_wins_over_that_of_the_turn() -> None:
    assert wanted_language("what?", Measured(1.0, 9, 0.0, 4), "khm") == "khm"
    assert wanted_language("what, in English?", Measured(1.0, 9, 0.0, 4), "khm") == "eng"


def test_programs_have_no_language() -> None:
    assert prose_of("មើល ```py\nprint(1)\n``` ចប់").split() == ["មើល", "ចប់"]
