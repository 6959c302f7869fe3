"""The prompt suite and a model -> a score and a text for every item, and a table by kind with floors.

items ──likelihoods, generations──▶ ItemResult each ──summarize──▶ KindScore each
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tonsai_pipeline.evaluate.subject import Subject, Written
from tonsai_pipeline.metrics.answers import contains, is_exact
from tonsai_pipeline.metrics.bootstrap import Estimate, mean, share_interval
from tonsai_pipeline.metrics.checks import passes
from tonsai_pipeline.metrics.choice import choose
from tonsai_pipeline.metrics.rouge import rouge_1, rouge_l
from tonsai_pipeline.metrics.suite import KINDS, Item
from tonsai_pipeline.metrics.translation import chrf2
from tonsai_pipeline.model.likelihood import answer_request, text_requests
from tonsai_pipeline.recipe.evaluate import GenerationConfig

#: About how many bytes may be written, by kind: a Khmer word has some 15.
_MAX_BYTES = {
    "qa": 90, "qa_context": 90, "translate_eng_khm": 300, "translate_khm_eng": 150, "summarize": 400,
    "headline": 300, "continue": 600, "instruct": 450, "refuse": 450,
}  # fmt: skip
#: Kinds whose answer is the first line that is written.
_ONE_LINE = ("qa", "qa_context", "translate_eng_khm", "translate_khm_eng", "summarize", "headline")
#: Texts drawn after each prompt of kind `continue`; health is judged on them.
SAMPLES_PER_PROMPT = 4


@dataclass(frozen=True)
class ItemResult:
    """What a model made of an item.

    Args:
        id: Of the item.
        kind: Of the item.
        score: 0..1, the headline of its kind; None where only health is measured.
        gold_bits_per_byte: Of the right answer; None where there is none.
        parts: Further scores by name.
        texts: What was written, with how it ended; several for `continue`.
    """

    id: str
    kind: str
    score: float | None
    gold_bits_per_byte: float | None = None
    parts: dict[str, float] = field(default_factory=dict)
    texts: tuple[Written, ...] = ()


@dataclass(frozen=True)
class KindScore:
    """A row of the suite's table.

    Args:
        kind: Of the items.
        measure: What the score is.
        score: With its interval over items.
        floors: What knowing nothing scores, by name.
        gold_bits_per_byte: Mean of the right answers, with its interval; None where there are none.
        parts: Means of the further scores.
        signature: sacrebleu's, where it counted.
    """

    kind: str
    measure: str
    score: Estimate
    floors: dict[str, float]
    gold_bits_per_byte: Estimate | None
    parts: dict[str, float]
    signature: str = ""


def run_suite(
    subject: Subject, items: Sequence[Item], generation: GenerationConfig
) -> list[ItemResult]:
    """Run every item; results are in the order of the items.

    Raises:
        ValueError: No items.
    """
    if not items:
        raise ValueError("the prompt suite has no items")
    texts = _write(subject, items, generation)
    found = {**_choices(subject, items), **_pairs(subject, items)}
    gold = _gold(subject, items)
    for item in items:
        if item.id not in found:
            score, parts = _judge(item, texts[item.id])
            found[item.id] = ItemResult(
                item.id, item.kind, score, gold.get(item.id), parts, texts[item.id]
            )
    return [found[item.id] for item in items]


def summarize(items: Sequence[Item], results: Sequence[ItemResult]) -> list[KindScore]:
    """Make the table of the suite; kinds that only have health are not in it."""
    table = []
    for kind in KINDS:
        own = [(i, r) for i, r in zip(items, results, strict=True) if i.kind == kind]
        scored = [(i, r) for i, r in own if r.score is not None]
        if scored:
            table.append(_kind(kind, [i for i, _ in scored], [r for _, r in scored]))
    return table


def answer_of(item: Item, text: str) -> str:
    """Return the part of a text that is the answer: where one line is asked for, the first that is written."""
    if item.kind not in _ONE_LINE:
        return text.strip()
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def choice_requests(subject_tokenizer, items: Sequence[Item], context: int):  # noqa: ANN001, ANN201
    """See `answer_request`: two for every choice, after the prompt and after nothing."""
    return [
        answer_request(prompt, choice, subject_tokenizer, context)
        for item in items
        for prompt in (item.prompt, "")
        for choice in item.choices
    ]


def _write(
    subject: Subject, items: Sequence[Item], generation: GenerationConfig
) -> dict[str, tuple[Written, ...]]:
    asked = [item for item in items if item.kind in _MAX_BYTES and item.kind != "continue"]
    going_on = [
        item for item in items if item.kind == "continue" for _ in range(SAMPLES_PER_PROMPT)
    ]
    found: dict[str, tuple[Written, ...]] = {}
    for group, sampling in ((asked, None), (going_on, generation)):
        written = subject.write(
            [item.prompt for item in group], [_MAX_BYTES[item.kind] for item in group], sampling
        )
        for item, one in zip(group, written, strict=True):
            found[item.id] = (*found.get(item.id, ()), one)
    return found


def _choices(subject: Subject, items: Sequence[Item]) -> dict[str, ItemResult]:
    own = [item for item in items if item.kind == "choice"]
    nats = iter(subject.nats(choice_requests(subject.tokenizer, own, subject.context)))
    found = {}
    for item in own:
        after, alone = ([-next(nats) for _ in item.choices] for _ in range(2))
        chosen = choose(after, [len(c.encode()) for c in item.choices], item.gold, alone)
        parts = {"raw": float(chosen.raw == item.gold), "pmi": float(chosen.pmi == item.gold)}
        if item.popular is not None:
            parts["popular"] = float(chosen.per_byte == item.popular)
        found[item.id] = ItemResult(
            item.id,
            item.kind,
            float(chosen.per_byte == item.gold),
            chosen.gold_bits_per_byte,
            parts,
        )
    return found


def _pairs(subject: Subject, items: Sequence[Item]) -> dict[str, ItemResult]:
    own = [item for item in items if item.kind == "minimal_pair"]
    requests, owners = [], []
    for place, text in enumerate(text for item in own for text in (item.good, item.bad)):
        windows = text_requests(text, subject.tokenizer, subject.context)
        requests += windows
        owners += [place] * len(windows)
    nats = [0.0] * (2 * len(own))
    for place, value in zip(owners, subject.nats(requests), strict=True):
        nats[place] += value
    found = {}
    for place, item in enumerate(own):
        good, bad = nats[2 * place : 2 * place + 2]
        per_byte = good / len(item.good.encode()), bad / len(item.bad.encode())
        found[item.id] = ItemResult(
            item.id,
            item.kind,
            float(good < bad),
            per_byte[0] / math.log(2),
            {"per_byte": float(per_byte[0] < per_byte[1])},
        )
    return found


def _gold(subject: Subject, items: Sequence[Item]) -> dict[str, float]:
    """Return bits per byte of the first reference after its prompt."""
    own = [item for item in items if item.references]
    requests = [
        answer_request(item.prompt, " " + item.references[0], subject.tokenizer, subject.context)
        for item in own
    ]
    return {
        item.id: nats / (math.log(2) * len(item.references[0].encode()))
        for item, nats in zip(own, subject.nats(requests), strict=True)
    }


def _judge(item: Item, written: tuple[Written, ...]) -> tuple[float | None, dict[str, float]]:
    """Return the score of a generated answer, and its parts."""
    if item.metric == "health":
        return None, {}
    answer = answer_of(item, written[0].text)
    if item.metric == "exact_or_contains":
        exact = float(is_exact(answer, item.references))
        return float(contains(answer, item.references)), {"exact": exact}
    if item.metric == "chrf":
        found = chrf2([answer], [item.references], [item.source])
        return found.sentences[0] / 100, {}
    if item.metric == "rouge":
        return rouge_l(answer, item.references), {"rouge_1": rouge_1(answer, item.references)}
    kept = [float(bool(answer) and passes(answer, check)) for check in item.checks]
    if item.references:
        kept.append(float(contains(answer, item.references)))
    return float(min(kept)), {"checks": sum(kept) / len(kept)}


_MEASURES = {
    "minimal_pair": "preferred",
    "choice": "right, per byte",
    "qa": "contains",
    "qa_context": "contains",
    "translate_eng_khm": "chrF2 / 100",
    "translate_khm_eng": "chrF2 / 100",
    "summarize": "ROUGE-L over clusters",
    "headline": "ROUGE-L over clusters",
    "instruct": "all checks passed",
    "refuse": "all checks passed",
}


def _kind(kind: str, items: Sequence[Item], results: Sequence[ItemResult]) -> KindScore:
    gold = [r.gold_bits_per_byte for r in results if r.gold_bits_per_byte is not None]
    names = sorted({name for result in results for name in result.parts})
    parts = {}
    for name in names:
        values = [result.parts[name] for result in results if name in result.parts]
        parts[name] = sum(values) / len(values)
    floors, signature = _floors(kind, items), ""
    if kind.startswith("translate"):
        answers = [answer_of(i, r.texts[0].text) for i, r in zip(items, results, strict=True)]
        whole = chrf2(answers, [i.references for i in items], [i.source for i in items])
        parts["corpus chrF2 / 100"], signature = whole.score / 100, whole.signature
    scores = [result.score for result in results if result.score is not None]
    return KindScore(
        kind=kind,
        measure=_MEASURES[kind],
        score=share_interval(round(sum(scores)), len(scores))
        if set(scores) <= {0.0, 1.0}
        else mean(scores),
        floors=floors,
        gold_bits_per_byte=mean(gold) if gold else None,
        parts=parts,
        signature=signature,
    )


def _floors(kind: str, items: Sequence[Item]) -> dict[str, float]:
    """Return what knowing nothing scores on these items."""
    if kind == "minimal_pair":
        return {"chance": 0.5}
    if kind == "choice":
        return {"chance": sum(1 / len(item.choices) for item in items) / len(items)}
    if kind.startswith("translate"):
        found = chrf2(
            [item.source for item in items],
            [i.references for i in items],
            [i.source for i in items],
        )
        return {
            "wrong sentence": found.wrong_sentence / 100,
            "source copied": found.source_copied / 100,
        }
    if kind in ("summarize", "headline"):
        wrong = [
            rouge_l(items[i - 1].references[0], items[i].references) for i in range(len(items))
        ]
        return {"wrong text": sum(wrong) / len(wrong)}
    return {"empty answer": 0.0}
