"""Held-out instructions and a model -> how it answers: right, ended by itself, healthy.

conversations ──all but the last reply, by the chat template──▶ greedy answers ──▶ exact, chrF2, ended, health
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from tonsai_pipeline.evaluate.subject import Subject
from tonsai_pipeline.metrics.answers import is_exact
from tonsai_pipeline.metrics.bootstrap import Estimate, share_interval
from tonsai_pipeline.metrics.health import measure_health, summarize
from tonsai_pipeline.metrics.translation import chrf2
from tonsai_pipeline.model.generate import fit_prompts, generate_many
from tonsai_pipeline.model.likelihood import encode, prefix_id
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.text import NormalizeOptions

#: Answers shown of each model.
_NUM_SHOWN = 12


class Instruction(NamedTuple):
    """A held-out conversation: what is asked, and the reply that its source has."""

    source: str
    lang: str
    asked: tuple[Mapping[str, str], ...]
    reply: str


class Answer(NamedTuple):
    """What a model answered."""

    source: str
    question: str
    reply: str
    answer: str
    is_right: bool
    ended: bool


@dataclass(frozen=True)
class Following:
    """How a model answers held-out instructions, the likeliest token each time.

    Args:
        model: Its name.
        exact: Answers that are the reply but for spaces, punctuation and digits, by source; `all` are all.
        chrf2: Likeness of answers and replies, 0..100.
        ended: Answers that the model ended itself.
        health: Of the answers, see `metrics.health.summarize`.
        answers: Some of them.
    """

    model: str
    exact: Mapping[str, Estimate]
    chrf2: float
    ended: Estimate
    health: Mapping[str, float]
    answers: tuple[Answer, ...]


def read_instructions(path: Path, max_items: int) -> list[Instruction]:
    """Read held-out conversations, as many of each source as of the others as long as there are any.

    Args:
        path: HELD_OUT_CONVERSATIONS.
        max_items: How many at most.
    """
    by_source: dict[str, list[Instruction]] = {}
    for row in read_part(path).to_pylist():
        *asked, last = row["messages"]
        one = Instruction(row["source"], row["lang"], tuple(asked), last["content"])
        by_source.setdefault(row["source"], []).append(one)
    found: list[Instruction] = []
    place = 0
    while len(found) < max_items and any(len(own) > place for own in by_source.values()):
        found += [own[place] for own in by_source.values() if len(own) > place]
        place += 1
    return found[:max_items]


def measure_following(
    subject: Subject,
    instructions: Sequence[Instruction],
    options: NormalizeOptions,
    *,
    room: int,
) -> Following:
    """Let a model answer.

    Args:
        subject: The model; one without a chat template is given the turns a line each.
        instructions: At least one.
        options: How the corpus was normalized.
        room: Tokens of an answer at most.
    """
    if getattr(subject.tokenizer, "chat_template", None):
        # The end of a reply ends the answer, whatever the configuration calls the end.
        subject = replace(subject, is_chat=True)
    prompts, rooms = fit_prompts(
        subject.model,
        [prompt_ids(subject, one.asked) for one in instructions],
        [room] * len(instructions),
    )
    written = generate_many(
        subject.model,
        prompts,
        max_new_tokens=rooms,
        allowed=subject.allowed,
        eos_ids=subject.eos_ids,
    )
    decode: Any = subject.tokenizer.decode
    answers = []
    for one, ids, most in zip(instructions, written, rooms, strict=True):
        text = str(decode(ids, skip_special_tokens=True)).strip()
        right, ended = is_exact(text, [one.reply]), len(ids) < most
        question = one.asked[-1]["content"]
        answers.append(Answer(one.source, question, one.reply, text, right, ended))
    return _summary(subject.name, answers, [one.lang for one in instructions], options)


def prompt_ids(subject: Subject, asked: Sequence[Mapping[str, str]]) -> list[int]:
    """Return the ids of a conversation that waits for its reply."""
    if not getattr(subject.tokenizer, "chat_template", None):
        text = "".join(f"{turn['content']}\n" for turn in asked)
        return [prefix_id(subject.tokenizer), *encode(subject.tokenizer, text)]
    found: Any = subject.tokenizer.apply_chat_template(
        [dict(turn) for turn in asked], tokenize=True, add_generation_prompt=True, return_dict=False
    )
    return [int(token) for token in found]


def _summary(
    name: str, answers: Sequence[Answer], languages: Sequence[str], options: NormalizeOptions
) -> Following:
    groups = {"all": list(answers)}
    for answer in answers:
        groups.setdefault(answer.source, []).append(answer)
    healths = measure_health(
        [one.answer for one in answers],
        ["eng" if lang == "eng" else "khm" for lang in languages],
        [one.ended for one in answers],
        options,
    )
    return Following(
        model=name,
        exact={
            group: share_interval(sum(one.is_right for one in own), len(own))
            for group, own in groups.items()
        },
        chrf2=chrf2(
            [one.answer for one in answers],
            [[one.reply] for one in answers],
            [one.question for one in answers],
        ).score,
        ended=share_interval(sum(one.ended for one in answers), len(answers)),
        health=summarize(healths),
        answers=tuple(answers[:_NUM_SHOWN]),
    )
