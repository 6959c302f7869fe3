"""Sizes of sources, weights and languages -> target shares, and what they come to in tokens and epochs.

Tokens are estimated from bytes here, for there is no tokenizer yet; packing counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.mixture.budget import FREE_EPOCHS, Budget, budget, effective_tokens
from tonsai_pipeline.mixture.feasible import of_whole_documents, shortfalls, uncertain
from tonsai_pipeline.mixture.shares import BYTES_PER_TOKEN, source_shares
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.mixture import MixtureConfig
from tonsai_pipeline.recipe.sources import Source

#: An estimate in tokens may be this far off; beyond it a target is refused here, within it when packing.
_ESTIMATE_SLACK = 1.25


@dataclass(frozen=True)
class SharePlan:
    """What the mixture asks for.

    Args:
        shares: The contents of `shares.json`.
        by_source: For each source, its entry in the report.
        total_tokens: Length of the run, estimated.
        warnings: What a person should look at.
        shortfalls: Shares that cannot be met, as far as bytes tell, with what would be feasible.
    """

    shares: Mapping[str, Any]
    by_source: Mapping[str, Any]
    total_tokens: int
    warnings: list[str]
    shortfalls: list[str]


def wanted_sources(sources: Sequence[Source], config: MixtureConfig) -> list[Source]:
    """Return the sources that have a weight, in a language that has a share, in any stage of the run."""
    weighted = {source.name for source in sources if source.weight > 0}
    languages = {code for code, share in config.languages.items() if share > 0}
    for stage in config.stages:
        weighted |= {name for name, weight in stage.weights.items() if weight > 0}
        languages |= {code for code, share in (stage.languages or {}).items() if share > 0}
    return [source for source in sources if source.name in weighted and source.lang in languages]


def mixed_sources(recipe: Recipe) -> set[str]:
    """Return the names of the sources that are mixed in."""
    return {source.name for source in wanted_sources(recipe.sources, recipe.mixture)}


def plan_shares(
    totals: Mapping[str, Mapping[str, int]], sources: Sequence[Source], config: MixtureConfig
) -> SharePlan:
    """Turn sizes, weights and languages into shares, and estimate what they mean.

    Args:
        totals: By source: `num_train`, `num_bytes`, `num_validation`, `num_left_out`.
        sources: The recipe's sources.
        config: The recipe's `mixture` section.

    Raises:
        DataError: A language with a share has no documents, or the run is longer than the text allows.
    """
    languages = {source.name: source.lang for source in sources}
    weights = {source.name: source.weight for source in sources}
    tokens = {
        name: total["num_bytes"] / BYTES_PER_TOKEN[languages[name]]
        for name, total in totals.items()
        if total["num_train"] > 0
    }
    stages = _stage_shares(tokens, languages, weights, config)
    overall = {name: sum(frac * shares[name] for frac, shares in stages) for name in tokens}
    asked = _plan(tokens, overall, languages, config)
    num_documents = {name: total["num_train"] for name, total in totals.items()}
    epochs = {name: config.epochs_of(name) for name in tokens}
    planned = of_whole_documents(asked, tokens, num_documents, languages, epochs)
    available = {name: round(count) for name, count in tokens.items()}
    mine = {name: languages[name] for name in asked.target_tokens}
    missed = shortfalls(asked.target_tokens, planned.target_tokens, mine, num_documents, available)
    missed += uncertain(asked.target_tokens, tokens, num_documents)
    by_source = {
        name: _source_entry(name, totals[name], languages[name], overall, tokens, planned)
        for name in totals
    }
    shares = {
        "languages": config.languages,
        "sources": {
            name: {key: entry[key] for key in ("lang", "share", "num_documents", "num_bytes")}
            for name, entry in by_source.items()
        },
        "stages": [{"frac": frac, "shares": found} for frac, found in stages],
        "max_epochs": {name: config.epochs_of(name) for name in by_source},
        "on_shortage": config.on_shortage,
        "total_tokens": config.total_tokens,
        "seed": config.seed,
    }
    warnings = _warnings(by_source, planned, sources, config)
    return SharePlan(shares, by_source, planned.total_tokens, warnings, missed)


def _stage_shares(
    tokens: Mapping[str, float],
    languages: Mapping[str, str],
    weights: Mapping[str, float],
    config: MixtureConfig,
) -> list[tuple[float, dict[str, float]]]:
    """Return (part of the run, shares) for the main stretch and each stage after it."""
    before = 1.0 - sum(stage.last_frac for stage in config.stages)
    stretches: list[tuple[float, Mapping[str, float], Mapping[str, float]]] = [
        (before, cast("Mapping[str, float]", config.languages), weights)
    ]
    for stage in config.stages:
        shares = cast("Mapping[str, float]", stage.languages or stretches[-1][1])
        stretches.append((stage.last_frac, shares, {**weights, **stage.weights}))
    try:
        return [
            (
                frac,
                source_shares(
                    tokens,
                    languages,
                    shares,
                    weights=weight,
                    strategy=config.strategy,
                    temperature=config.temperature,
                    max_epochs={name: config.epochs_of(name) for name in tokens},
                ),
            )
            for frac, shares, weight in stretches
        ]
    except ValueError as error:
        raise DataError(f"mixture: {error}") from error


def _plan(
    tokens: Mapping[str, float],
    shares: Mapping[str, float],
    languages: Mapping[str, str],
    config: MixtureConfig,
) -> Budget:
    """Estimate the run; refuse a target that is out of reach even if the estimate is a quarter off."""
    available = {name: max(1, round(count)) for name, count in tokens.items()}

    slack = 1.0 if config.total_tokens is None else _ESTIMATE_SLACK
    try:
        return budget(
            available,
            shares,
            total_tokens=config.total_tokens,
            max_epochs={name: slack * config.epochs_of(name) for name in available},
            groups=languages,
            on_shortage=config.on_shortage,
        )
    except ValueError as error:
        raise DataError(f"mixture (tokens estimated from bytes): {error}") from error


def _source_entry(
    name: str,
    total: Mapping[str, int],
    language: str,
    shares: Mapping[str, float],
    tokens: Mapping[str, float],
    planned: Budget,
) -> dict[str, Any]:
    epochs = planned.epochs.get(name, 0.0)
    return {
        "lang": language,
        "num_documents": total["num_train"],
        "num_bytes": total["num_bytes"],
        "num_validation": total["num_validation"],
        "num_left_out": total["num_left_out"],
        "share": shares.get(name, 0.0),
        "estimated_share": planned.shares.get(name, 0.0),
        "estimated_tokens": round(tokens.get(name, 0)),
        "estimated_tokens_in_run": planned.target_tokens.get(name, 0),
        "estimated_epochs": round(epochs, 4),
        "estimated_effective_tokens": round(effective_tokens(tokens.get(name, 0), epochs)),
    }


def _warnings(
    by_source: Mapping[str, Mapping[str, Any]],
    planned: Budget,
    sources: Sequence[Source],
    config: MixtureConfig,
) -> list[str]:
    said = []
    for name, most in {"max_epochs": config.max_epochs, **config.source_max_epochs}.items():
        if most > FREE_EPOCHS:
            said.append(
                f"{name}: up to {most:g} epochs; passes above {FREE_EPOCHS:g} are worth less and less"
            )
    for source in sources:
        entry = by_source.get(source.name)
        if source.weight > 0 and (entry is None or not entry["num_documents"]):
            said.append(
                f"{source.name}: nothing of it is in the mixture; the other sources of its language fill its share"
            )
    said += [
        f"{name}: too small for its share of {by_source[name]['share']:.2%} in {config.epochs_of(name):g} epochs; "
        f"it gives about {by_source[name]['estimated_share']:.2%}, the other sources of its language the rest"
        for name in planned.short_sources
    ]
    return said
