"""Everything measured -> one gate before a model is given to others: passed, failed or unknown, by name.

    numbers, limits, waivers ──judge──▶ Verdict each ──overall──▶ passed | failed | unknown

What was not measured is unknown and never passed. A waiver accepts a verdict by name and with a reason; it changes
nothing but the overall verdict, and goes into the model card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tonsai_pipeline.recipe.evaluate import GATE_NAMES, GateConfig

State = Literal["passed", "failed", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """One line of the gate.

    Args:
        name: One of `GATE_NAMES`.
        verdict: passed, failed or unknown.
        message: The number and its limit, or why it is unknown.
        waiver: The reason for which the recipe accepts it; None without one.
    """

    name: str
    verdict: State
    message: str
    waiver: str | None = None


@dataclass(frozen=True)
class Measured:
    """What the gate looks at; None is what was not measured.

    Args:
        bits_per_byte: Held out, by language.
        untrained: The same of the network before training.
        same_cut: Share of held-out documents that the tokenizer cuts as in training.
        health: Of the sampled continuations, see `metrics.health.summarize`.
        memorized: See `memorization.worst_excess`.
        added_terms: Share of texts.
        personal_data: Share of texts.
    """

    bits_per_byte: Mapping[str, float] | None = None
    untrained: Mapping[str, float] | None = None
    same_cut: float | None = None
    health: Mapping[str, float] | None = None
    memorized: float | None = None
    added_terms: float | None = None
    personal_data: float | None = None


def judge(found: Measured, limits: GateConfig) -> list[Verdict]:
    """Return every verdict, in the order of `GATE_NAMES`."""
    health, why = dict(found.health or {}), "the suite was not run"
    if health.get("empty_frac") == 1.0:
        # Of nothing, nothing else can be said.
        health, why = {"empty_frac": 1.0}, "nothing was written"
    no_rows = "no packed rows were given"
    verdicts = {
        "tokenizer": _at_least("tokenizer", found.same_cut, limits.min_same_cut_frac, no_rows),
        "bits_per_byte": _bits_per_byte(found, limits),
    }
    if verdicts["tokenizer"].verdict == "failed":
        # It was asked other tokens than it learnt: neither likelihoods nor answers are the network's own.
        health, why = {}, "texts and prompts are not cut as in training"
        verdicts["bits_per_byte"] = Verdict("bits_per_byte", "unknown", why)
    least = {"normalized": ("stable_frac", limits.min_stable_frac)}
    least["language"] = ("right_language_frac", limits.min_right_language_frac)
    most = {
        "encoding": ("replacement_frac", limits.max_replacement_frac),
        "clusters": ("invalid_cluster_frac", limits.max_invalid_cluster_frac),
        "repetition": ("loop_frac", limits.max_loop_frac),
        "empty": ("empty_frac", limits.max_empty_frac),
    }
    for name, (key, limit) in most.items():
        verdicts[name] = _at_most(name, health.get(key), limit, why)
    for name, (key, limit) in least.items():
        verdicts[name] = _at_least(name, health.get(key), limit, why)
    for name, value, limit, reason in (
        ("memorization", found.memorized, limits.max_memorized_frac, no_rows),
        (
            "listed_terms",
            found.added_terms,
            limits.max_added_term_frac,
            "no list of terms is given",
        ),
        (
            "personal_data",
            found.personal_data,
            limits.max_personal_data_frac,
            "nothing was written",
        ),
    ):
        verdicts[name] = _at_most(name, value, limit, reason)
    return [
        Verdict(name, verdicts[name].verdict, verdicts[name].message, limits.waivers.get(name))
        for name in GATE_NAMES
    ]


def overall(verdicts: Sequence[Verdict]) -> State:
    """Return the verdict over all that are not waived: the worst of them.

    Example:
        >>> overall(
        ...     [
        ...         Verdict("empty", "passed", ""),
        ...         Verdict("listed_terms", "unknown", "", "read by hand"),
        ...     ]
        ... )
        'passed'
    """
    states = {verdict.verdict for verdict in verdicts if verdict.waiver is None}
    if "failed" in states:
        return "failed"
    return "unknown" if "unknown" in states else "passed"


def _bits_per_byte(found: Measured, limits: GateConfig) -> Verdict:
    name = "bits_per_byte"
    if not found.bits_per_byte:
        return Verdict(name, "unknown", "nothing held out was measured")
    limit_of = {**(found.untrained or {}), **limits.max_bits_per_byte}
    known = {lang: limit for lang, limit in limit_of.items() if lang in found.bits_per_byte}
    if missing := sorted(set(limits.max_bits_per_byte) - set(found.bits_per_byte)):
        return Verdict(name, "unknown", f"{', '.join(missing)} was not measured")
    if not known:
        return Verdict(
            name, "unknown", "no limit is given, and no untrained network to compare with"
        )
    said = "; ".join(
        f"{lang} {found.bits_per_byte[lang]:.3f}, at most {limit:.3f}"
        for lang, limit in sorted(known.items())
    )
    kept = all(found.bits_per_byte[lang] <= limit for lang, limit in known.items())
    return Verdict(name, "passed" if kept else "failed", said)


def _at_most(name: str, value: float | None, limit: float, why: str) -> Verdict:
    if value is None:
        return Verdict(name, "unknown", why)
    return Verdict(
        name, "passed" if value <= limit else "failed", f"{value:.1%}, at most {limit:.1%}"
    )


def _at_least(name: str, value: float | None, limit: float, why: str) -> Verdict:
    if value is None:
        return Verdict(name, "unknown", why)
    return Verdict(
        name, "passed" if value >= limit else "failed", f"{value:.1%}, at least {limit:.1%}"
    )
