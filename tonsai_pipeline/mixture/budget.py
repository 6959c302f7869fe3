"""Wished shares and the tokens there are -> how many tokens, and how many epochs, each source gives.

    shares, available_tokens ──budget──▶ Budget(target_tokens, epochs, ...)   or an error that says what would do
                                            └──▶ effective_tokens: what the repeats are worth

Everything is counted in tokens of the final tokenizer. A source that cannot fill its share within its epoch
cap is an error, or (`on_shortage="redistribute"`) leaves the rest to the other sources of its group, that is,
the same language; the shares of the groups themselves are never bent.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

#: Decay of the worth of repeated tokens, in epochs (R*_D).
#: Source: Muennighoff et al., "Scaling Data-Constrained Language Models" (JMLR 26(53), 2025), their fit.
REPEAT_DECAY_EPOCHS = 15.39
#: Up to here repeating is about as good as new text; ibid., section 6.
FREE_EPOCHS = 4.0
#: From here on repeats are worth almost nothing; ibid.
USELESS_EPOCHS = 16.0

OnShortage = Literal["error", "redistribute"]
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Budget:
    """What each source gives to the run.

    Args:
        total_tokens: Length of the run.
        target_tokens: Tokens of each source; they sum to `total_tokens`.
        epochs: Passes over each source: target / available.
        shares: Share of each source: target / total.
        target_shares: The shares that were asked for, summing to 1.
        short_sources: Sources that are at their cap and give less than their targets.
    """

    total_tokens: int
    target_tokens: Mapping[str, int]
    epochs: Mapping[str, float]
    shares: Mapping[str, float]
    target_shares: Mapping[str, float]
    short_sources: tuple[str, ...]


def budget(
    available_tokens: Mapping[str, int],
    shares: Mapping[str, float],
    *,
    total_tokens: int | None,
    max_epochs: float | Mapping[str, float],
    groups: Mapping[str, str] | None = None,
    on_shortage: OnShortage = "error",
) -> Budget:
    """Turn shares into token targets and check that the text is there.

    Args:
        available_tokens: Tokens of one pass over each source. May name more sources than `shares`.
        shares: Wished share of all tokens, by source; positive numbers that sum to 1. Sources with share 0
            are left out of the run.
        total_tokens: Length of the run; None for the longest that the caps allow.
        max_epochs: Most passes over a source, for all or by source; greater than 0.
        groups: Group (language) of each source, for `on_shortage="redistribute"`; None: all in one.
        on_shortage: What happens when a source cannot fill its share: an error, or the rest goes to its
            others of its group in proportion to their shares, as far as their caps allow.

    Returns:
        The targets, rounded so that they sum to the total exactly (largest remainder).

    Raises:
        ValueError: Shares do not sum to 1; a source with a share has no tokens; the target does not fit.
            The message says which source or group is short and what total would fit.

    Example:
        >>> plan = budget(
        ...     {"a": 100, "b": 900}, {"a": 0.5, "b": 0.5}, total_tokens=None, max_epochs=4
        ... )
        >>> plan.total_tokens, dict(plan.target_tokens), plan.epochs["a"]
        (800, {'a': 400, 'b': 400}, 4.0)
        >>> rest = budget(
        ...     {"a": 100, "b": 900},
        ...     {"a": 0.5, "b": 0.5},
        ...     total_tokens=1000,
        ...     max_epochs=4,
        ...     on_shortage="redistribute",
        ... )
        >>> dict(rest.target_tokens), rest.short_sources
        ({'a': 400, 'b': 600}, ('a',))
    """
    shares_wanted = {name: float(share) for name, share in shares.items() if share > 0}
    _check_shares(shares_wanted, shares)
    caps = _caps(available_tokens, shares_wanted, max_epochs, on_shortage)
    group_of = {name: groups[name] if groups else "all" for name in shares_wanted}
    limits = _limits(caps, shares_wanted, group_of, on_shortage)
    feasible = math.floor(min(limits.values()) * (1 + 1e-12))
    if total_tokens is None:
        total_tokens = feasible
    if total_tokens > feasible:
        raise ValueError(
            _infeasible(total_tokens, limits, available_tokens, max_epochs, on_shortage)
        )
    if total_tokens <= 0:
        raise ValueError(
            f"the run has {total_tokens} tokens: no text is left to fill the shares with"
        )
    exact = _fill(caps, shares_wanted, group_of, total_tokens)
    targets = round_to_total(exact, total_tokens)
    return Budget(
        total_tokens=total_tokens,
        target_tokens=targets,
        epochs={name: targets[name] / max(1, available_tokens.get(name, 0)) for name in targets},
        shares={name: targets[name] / total_tokens for name in targets},
        target_shares=shares_wanted,
        short_sources=tuple(
            name
            for name in shares_wanted
            if exact[name] < shares_wanted[name] * total_tokens * (1 - 1e-9) - 1
        ),
    )


def effective_tokens(unique_tokens: float, epochs: float) -> float:
    """Return what `epochs` passes over a text are worth, in tokens of new text.

    D' = U + U R (1 - exp(-(epochs - 1) / R)), with R = 15.39; below one pass nothing is repeated.

    Source: Muennighoff et al., JMLR 26(53), 2025, equation 5.

    Example:
        >>> (
        ...     round(effective_tokens(100, 0.5)),
        ...     round(effective_tokens(100, 4)),
        ...     round(effective_tokens(100, 32)),
        ... )
        (50, 373, 1434)
    """
    if epochs <= 1:
        return unique_tokens * max(0.0, epochs)
    decay = REPEAT_DECAY_EPOCHS
    return unique_tokens * (1 + decay * (1 - math.exp(-(epochs - 1) / decay)))


def round_to_total(exact: Mapping[str, float], total: int) -> dict[str, int]:
    """Round to whole numbers that sum to `total` (largest remainder; ties to the earlier name).

    Example:
        >>> round_to_total({"a": 1.5, "b": 1.5, "c": 1.0}, 4)
        {'a': 2, 'b': 1, 'c': 1}
    """
    floors = {name: math.floor(value) for name, value in exact.items()}
    missing = total - sum(floors.values())
    by_remainder = sorted(exact, key=lambda name: floors[name] - exact[name])
    for name in by_remainder[:missing]:
        floors[name] += 1
    return floors


def stage_targets(
    targets: Mapping[str, int], stages: Sequence[tuple[float, Mapping[str, float]]]
) -> dict[str, list[int]]:
    """Divide what each source gives among the stages of a run, as the stages ask.

    Args:
        targets: Tokens of each source in the whole run.
        stages: For each stage, its part of the run and its shares by source.

    Returns:
        Tokens by source, one number a stage; they sum to the target. Where a source gives less than their targets
        every stage gets proportionally less of it.

    Example:
        >>> stage_targets(
        ...     {"a": 60, "b": 40}, [(0.5, {"a": 0.8, "b": 0.2}), (0.5, {"a": 0.4, "b": 0.6})]
        ... )
        {'a': [40, 20], 'b': [10, 30]}
    """
    divided = {}
    for name, target in targets.items():
        shares_wanted = [frac * shares.get(name, 0.0) for frac, shares in stages]
        whole = sum(shares_wanted) or 1.0
        exact = {str(place): target * part / whole for place, part in enumerate(shares_wanted)}
        divided[name] = list(round_to_total(exact, target if sum(shares_wanted) else 0).values())
    return divided


def _check_shares(shares_wanted: Mapping[str, float], shares: Mapping[str, float]) -> None:
    negative = [name for name, share in shares.items() if not share >= 0]
    if negative:
        raise ValueError(f"shares must not be negative: {', '.join(negative)}")
    if abs(sum(shares_wanted.values()) - 1) > _TOLERANCE:
        raise ValueError(f"shares must sum to 1, not {sum(shares_wanted.values()):.6f}")


def _caps(
    available: Mapping[str, int],
    shares_wanted: Mapping[str, float],
    max_epochs: float | Mapping[str, float],
    on_shortage: OnShortage,
) -> dict[str, float]:
    """Return the most tokens each source may give."""
    caps = {}
    for name in shares_wanted:
        most = max_epochs[name] if isinstance(max_epochs, Mapping) else max_epochs
        if not most > 0:
            raise ValueError(f"max_epochs of '{name}' must be greater than 0, not {most}")
        caps[name] = available.get(name, 0) * float(most)
        if caps[name] <= 0 and on_shortage == "error":
            raise ValueError(
                f"source '{name}' is to give {shares_wanted[name]:.2%} of all tokens and has no documents left; "
                "give it weight 0, or look at why its documents were dropped"
            )
    return caps


def _limits(
    caps: Mapping[str, float],
    shares_wanted: Mapping[str, float],
    group_of: Mapping[str, str],
    on_shortage: OnShortage,
) -> dict[str, float]:
    """Return, for each thing that must fill its share, the longest run in which it can, in tokens."""
    if on_shortage == "error":
        return {f"source '{name}'": caps[name] / shares_wanted[name] for name in shares_wanted}
    cap: dict[str, float] = defaultdict(float)
    share: dict[str, float] = defaultdict(float)
    for name, group in group_of.items():
        cap[group] += caps[name]
        share[group] += shares_wanted[name]
    return {f"group '{group}'": cap[group] / share[group] for group in cap}


def _infeasible(
    total: int,
    limits: Mapping[str, float],
    available: Mapping[str, int],
    max_epochs: float | Mapping[str, float],
    on_shortage: OnShortage,
) -> str:
    short = sorted((limit, what) for what, limit in limits.items() if limit < total)
    listed = "; ".join(f"{what} lasts for {limit:,.0f} tokens" for limit, what in short[:5])
    more = f" (and {len(short) - 5} more)" if len(short) > 5 else ""
    limit = short[0][0]
    sizes = ", ".join(f"{name} {available.get(name, 0):,}" for name in list(available)[:12])
    ways = [f"lower total_tokens to {math.floor(limit):,}"]
    caps = set(max_epochs.values()) if isinstance(max_epochs, Mapping) else {max_epochs}
    if len(caps) == 1:
        ways.append(f"raise max_epochs to {caps.pop() * total / max(limit, 1e-9):.2f}")
    else:
        ways.append(f"raise the epochs of what is short by {total / max(limit, 1e-9):.2f} times")
    ways.append("lower the share of what is short, or add text")
    if on_shortage == "error":
        ways.append("set on_shortage: redistribute")
    return (
        f"a run of {total:,} tokens does not fit its shares: at the epoch cap {listed}{more}. "
        f"Feasible: {'; or '.join(ways)}. Tokens available in one pass: {sizes}"
    )


def _fill(
    caps: Mapping[str, float],
    shares_wanted: Mapping[str, float],
    group_of: Mapping[str, str],
    total: int,
) -> dict[str, float]:
    """Give every source its share, capped; what a group has left over goes to its uncapped sources."""
    filled: dict[str, float] = {}
    for group in dict.fromkeys(group_of.values()):
        names = [name for name in shares_wanted if group_of[name] == group]
        filled |= _fill_group(
            {n: caps[n] for n in names}, {n: shares_wanted[n] for n in names}, total
        )
    return {name: filled[name] for name in shares_wanted}


def _fill_group(
    caps: Mapping[str, float], shares_wanted: Mapping[str, float], total: int
) -> dict[str, float]:
    """Find min(cap, level * share) for each source with the sum the group owes (water filling).

    Sources reach their cap in order of cap / share, so one pass over that order finds the level.
    """
    left, weight = sum(shares_wanted.values()) * total, sum(shares_wanted.values())
    filled: dict[str, float] = {}
    for name in sorted(shares_wanted, key=lambda n: (caps[n] / shares_wanted[n], n)):
        filled[name] = min(caps[name], left * shares_wanted[name] / weight) if weight > 0 else 0.0
        left -= filled[name]
        weight -= shares_wanted[name]
    return filled
