"""Facts of a run -> README.md (the model card), DATA_CARD.md, evaluation.json; pure but for reading its templates.

results.json, sources, settings, verdicts ──write──▶ texts; a fact that is missing is a line that is missing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import yaml
from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results

from tonsai_pipeline import __version__
from tonsai_pipeline.licenses import KNOWN
from tonsai_pipeline.metrics.left_out import drop_reasons
from tonsai_pipeline.publish.gate import Verdict
from tonsai_pipeline.publish.spec import PublishRun

#: What stands in a card that nobody filled in.
UNFILLED = "More Information Needed"
_CODES = {"khm": "km", "eng": "en"}


@dataclass(frozen=True)
class Facts:
    """What the cards are written from.

    Args:
        run: What is published.
        results: `results.json` of its evaluation.
        verdicts: The gate.
        takes_turns: Whether it was tuned to converse.
        context: Tokens that it reads.
    """

    run: PublishRun
    results: Mapping[str, Any]
    verdicts: Sequence[Verdict]
    takes_turns: bool
    context: int

    @property
    def title(self) -> str:
        """Name of the model."""
        return self.run.publish.title or self.run.name

    @property
    def model(self) -> Mapping[str, Any]:
        """What was measured on it."""
        return self.results["models"][0]

    @property
    def base(self) -> str | None:
        """Hub id of the model that it goes on from."""
        named = [(self.run.made_with.get(name) or {}).get("base") for name in ("sft", "model")]
        return self.run.publish.base_model or next((n for n in named if isinstance(n, str)), None)

    @property
    def languages(self) -> list[str]:
        """Codes of its languages, as the Hub has them."""
        return sorted({_CODES.get(one.lang, one.lang) for one in self.run.sources})

    @property
    def trained_on(self) -> list[dict[str, Any]]:
        """A row a source: licence, documents, tokens, epochs, share."""
        packed = _first(self.results, "packed_shards").get("sources", {})
        return [
            {
                "name": s.name,
                "lang": s.lang,
                "license": s.license,
                "hub": s.hub,
                **packed.get(s.name, {}),
            }
            for s in self.run.sources
        ]

    @property
    def num_canary_tokens(self) -> int:
        """Tokens of random strings that were planted among the rows."""
        return int(_first(self.results, "packed_shards").get("num_canary_tokens", 0))

    @property
    def funnel(self) -> list[tuple[str, str, int]]:
        """(where, what, documents): how many were read and kept, and why others were left out."""
        corpus = self.results.get("corpus") or {}
        num_read = sum(r.get("num_documents", 0) for r in corpus.get("raw_documents", ()))
        scored = _first(self.results, "scored_documents").get("by_source", {}).values()
        rows = [
            ("read", "documents", num_read),
            *((where, reason, n) for (where, reason), n in drop_reasons(corpus).items()),
            ("kept", "documents", sum(row.get("num_kept", 0) for row in scored)),
        ]
        return [row for row in rows if row[2]]

    def dropped_conversations(self, source: str) -> dict[str, int]:
        """Return how many conversations of a source were dropped, by reason: of their own, and beside the others."""
        counted = self.run.instructions
        return {**counted["sources"][source].get("dropped", {}), **counted["dropped"][source]}

    @property
    def hyper_parameters(self) -> list[tuple[str, Any]]:
        """Settings of the training that are set, by dotted name."""
        return list(
            _leaves({k: v for k, v in self.run.made_with.items() if k in ("model", "train", "sft")})
        )


def write(facts: Facts) -> dict[str, str]:
    """Return the cards by file name."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tonsai_pipeline.publish"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # Markdown
    )
    environment.filters |= {"interval": _interval, "n": lambda value: f"{value:,}", "cell": _cell}
    head = f"---\n{_metadata(facts).to_yaml()}\n---\n\n"
    values = {"f": facts, "version": __version__, "results": facts.results}
    return {
        "README.md": head + environment.get_template("model_card.md.j2").render(values),
        "DATA_CARD.md": environment.get_template("data_card.md.j2").render(values),
    }


def find_faults(cards: Mapping[str, str]) -> list[str]:
    """Say what the Hub, or a reader, would not accept of cards; asks nobody."""
    faults = [f"{name}: '{UNFILLED}'" for name, text in cards.items() if UNFILLED in text]
    head = cards["README.md"].split("---\n")[1]
    values = yaml.safe_load(head)
    if str(values.get("license")).lower() not in KNOWN:
        faults.append("README.md: no licence of the Hub's list in its metadata")
    if not values.get("language"):
        faults.append("README.md: no language in its metadata")
    try:
        model_index_to_eval_results(values.get("model-index") or [])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        faults.append(f"README.md: its model-index cannot be read: {type(error).__name__}: {error}")
    if not values.get("model-index"):
        faults.append("README.md: no model-index")
    return faults


def reduced(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of `results.json` that are given to others: no texts, no folders of this machine."""
    kept = (
        "date",
        "title",
        "suite",
        "num_dirty",
        "differences",
        "gate",
        "languages",
        "not_measured",
        "harness",
    )
    own = (
        "name",
        "num_parameters",
        "vocab_size",
        "bits_per_byte",
        "suite",
        "suite_clean",
        "health",
        "memorized",
        "same_cut",
    )
    models = [{name: one[name] for name in own if name in one} for one in results["models"]]
    return {**{name: results[name] for name in kept if name in results}, "models": models}


def _metadata(facts: Facts) -> ModelCardData:
    publish, model = facts.run.publish, facts.model
    hub = sorted({one.hub for one in facts.run.sources if one.hub})
    evaluated = [
        EvalResult(
            task_type="text-generation",
            dataset_type="held-out" if row["texts"] == "held out" else row["texts"],
            dataset_name=f"{row['texts']}, {row['language']}",
            metric_type="bits_per_byte",
            metric_name="bits per byte",
            metric_value=round(row["bits_per_byte"]["value"], 4),
        )
        for row in model["bits_per_byte"]
        if row["by"] == "all"
    ]
    evaluated += [
        EvalResult(
            task_type="text-generation",
            dataset_type=facts.results["suite"],
            dataset_name=f"{facts.results['suite']}: {row['kind']}",
            metric_type=row["measure"],
            metric_name=row["measure"],
            metric_value=round(row["score"]["value"], 4),
        )
        for row in model["suite"]
    ]
    return ModelCardData(
        language=facts.languages,
        license=publish.license,
        base_model=facts.base,
        datasets=hub or None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["khmer", "tonsai", *(["conversational"] if facts.takes_turns else [])],
        model_name=facts.title if evaluated else None,
        eval_results=evaluated or None,
    )


def _first(results: Mapping[str, Any], asset: str) -> Mapping[str, Any]:
    return next(iter((results.get("corpus") or {}).get(asset, ())), {})


def _leaves(values: Mapping[str, Any], where: str = "") -> Any:
    for name, value in values.items():
        if isinstance(value, Mapping) and "contents" not in value:
            yield from _leaves(value, f"{where}{name}.")
        elif value not in (None, [], ()):
            yield f"{where}{name}", value


def _interval(value: Mapping[str, float]) -> str:
    if value["num_items"] < 2:
        return f"{value['value']:.3f}"
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
