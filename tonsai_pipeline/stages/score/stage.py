"""normalized_documents and kept_documents of all dumps -> scored_documents.

    dump ──score_part──▶ part-*.parquet, signals/part-*.parquet      one artifact a dump, cached for itself
    all  ──summary────▶ buckets.json, histograms.json, to_read.json

A dump is scored again only if its text, its keep-list, the rules or a classifier changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.lineage import Fields, Stage, Table, every_dump, same_dump, whole
from tonsai_pipeline.quality.classifier import CLASSIFIER_VERSION
from tonsai_pipeline.quality.evaluation import population_stability
from tonsai_pipeline.quality.features import FEATURES_VERSION
from tonsai_pipeline.quality.form import FORM_VERSION
from tonsai_pipeline.quality.phrases import compile_phrases
from tonsai_pipeline.quality.pii import PII_VERSION
from tonsai_pipeline.quality.rules import RULES_VERSION, Limits
from tonsai_pipeline.quality.signals import SIGNALS_VERSION
from tonsai_pipeline.recipe.quality import QualityConfig
from tonsai_pipeline.recipe.sources import Source
from tonsai_pipeline.schema import SCORED_DOCUMENTS, DumpKey
from tonsai_pipeline.stages.score.parts import LanguageRules, ScoreTask, score_part
from tonsai_pipeline.stages.score.summary import add_tallies, buckets, documents_to_read, picture
from tonsai_pipeline.storage.files import read_json, write_json
from tonsai_pipeline.storage.store import Artifact


@dataclass(frozen=True)
class ScoreReport:
    """What scoring did to the corpus.

    Args:
        num_documents: Documents that deduplication kept.
        num_kept: Those that stay.
        num_bytes: Their text before, UTF-8.
        num_bytes_kept: Their text after.
        num_with_listed_words: Documents with a word of the user's lists.
        dropped_by_reason: Documents by reason (`quality.rules.DropReason`).
        documents_by_language: Documents by language.
        pii: Pieces of personal data by kind.
        by_source: The same counts for each source, and a picture of its scores: documents kept and dropped in
            20 equal bins of the score.
        classifiers: By language, how its classifier was measured.
        buckets: By language, the borders of the quantile buckets of the kept documents.
    """

    num_documents: int
    num_kept: int
    num_bytes: int
    num_bytes_kept: int
    num_with_listed_words: int
    dropped_by_reason: Mapping[str, int]
    documents_by_language: Mapping[str, int]
    pii: Mapping[str, int]
    by_source: Mapping[str, Any]
    classifiers: Mapping[str, Any]
    buckets: Mapping[str, Any]


def score_dump(
    normalized: Artifact,
    kept: Artifact,
    classifiers: Artifact,
    folder: Path,
    *,
    source: Source,
    config: QualityConfig,
    engine: Engine,
) -> dict[str, Any]:
    """Score every kept document of a dump.

    Args:
        normalized: The dump's normalized_documents.
        kept: Its final keep-list.
        classifiers: The quality_classifiers.
        folder: The building folder; gets `samples.json` beside the parts.
        source: The dump's source: its language is what its documents should be in.
        config: Of the recipe's `quality` section: what decides about a document.
        engine: Where parts are processed.

    Raises:
        RecipeError: A word list cannot be read.
    """
    rules = _rules(source, config, classifiers)
    drop_wrong = config.wrong_language == "drop"
    tasks = [
        ScoreTask(path, kept.path / path.name, source.lang, drop_wrong, config.enabled, rules)
        for path in normalized.parts()
    ]
    parts = [Part(task.normalized.stem, task) for task in tasks]
    tallies = map_parts(engine, score_part, parts, folder=folder, label=f"score {source.name}")
    total = add_tallies(tallies)
    write_json(folder / "samples.json", total.pop("samples"))
    return total


def score(
    scored: Mapping[DumpKey, Artifact],
    classifiers: Artifact,
    folder: Path,
    *,
    num_buckets: int,
    engine: Engine,
) -> ScoreReport:
    """Sum up the scores of all dumps.

    Args:
        scored: The scored documents by dump, in catalog order.
        classifiers: The quality_classifiers, for the report.
        folder: The building folder; gets `buckets.json`, `histograms.json` and `to_read.json`.
        num_buckets: The recipe's `quality.num_buckets`.
        engine: Not used: counts are small.
    """
    del engine
    tallies = {
        key: {**artifact.report, "samples": read_json(artifact.path / "samples.json")}
        for key, artifact in scored.items()
    }
    total = add_tallies(tallies.values(), num_samples=20)
    by_source = {}
    for name in dict.fromkeys(key.source for key in scored):
        found = add_tallies(tally for key, tally in tallies.items() if key.source == name)
        shown = {key: value for key, value in found.items() if key not in ("histograms", "samples")}
        by_source[name] = {**shown, "picture": picture(found["histograms"])}
    borders = buckets(total["histograms"], num_buckets)
    write_json(folder / "buckets.json", borders)
    write_json(folder / "histograms.json", total["histograms"])
    write_json(folder / "to_read.json", documents_to_read(total))
    kept = {key: value for key, value in total.items() if key not in ("histograms", "samples")}
    return ScoreReport(
        **kept, by_source=by_source, classifiers=dict(classifiers.report), buckets=borders
    )


def drift(previous: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, float]:
    """Return how far the scores of each source moved between two reports, as population stability indices.

    Args:
        previous: Report of the last materialization, as JSON values.
        current: Report of this one.
    """
    moved = {}
    for name, source in current["by_source"].items():
        before = previous["by_source"].get(name)
        if before is None:
            continue
        old, new = (
            [sum(pair) for pair in zip(*s["picture"].values(), strict=True)]
            for s in (before, source)
        )
        if sum(old) and sum(new):
            moved[name] = round(population_stability(old, new), 4)
    return moved


def _rules(
    source: Source, config: QualityConfig, classifiers: Artifact
) -> dict[str, LanguageRules]:
    """Return what decides about the documents of a source, by language.

    The line that a classifier draws is for pages: of a sentence or a verse alone its score says little.
    """
    rules = {}
    kind = config.kind_of(source)
    for language in ("khm", "eng"):
        limits = config.of(language, kind)
        folder = classifiers.path / language
        min_score = limits.min_score
        if folder.is_dir() and kind == "prose":
            min_score = max(
                min_score,
                cast("dict[str, Any]", read_json(folder / "calibration.json"))["min_score"],
            )
        rules[language] = LanguageRules(
            limits=Limits.of(limits),
            min_score=min_score,
            phrases=_word_list(language, config),
            classifier=folder if folder.is_dir() else None,
        )
    return rules


def _word_list(language: str, config: QualityConfig) -> tuple[str, ...]:
    path = {str(code): path for code, path in config.word_lists.items()}.get(language)
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        phrases = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
        compile_phrases(phrases)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise RecipeError(f"quality.word_lists.{language}: {path}: {error}") from error
    return phrases


DUMP = Stage(
    "scored_documents_of_dump",
    version=(
        f"4+signals{SIGNALS_VERSION}+rules{RULES_VERSION}+form{FORM_VERSION}+features{FEATURES_VERSION}"
        f"+classifier{CLASSIFIER_VERSION}+pii{PII_VERSION}"
    ),
    make=score_dump,
    each_dump=True,
    part_of="scored_documents",
    fields={
        "source": Fields("source", only=("name", "lang", "kind")),
        "config": Fields(
            "quality",
            only=("enabled", "khm", "eng", "wrong_language", "short_text", "kinds", "word_lists"),
        ),
    },
    reads={
        "normalized": same_dump("normalized_documents"),
        "kept": same_dump("kept_documents_of_dump"),
        "classifiers": whole("quality_classifiers"),
    },
    table=Table(
        SCORED_DOCUMENTS,
        same="normalized",
        made_from={
            "row_in_part": ("kept.row_in_part",),
            "group_size": ("kept.group_size",),
            "*": ("normalized.text",),
        },
    ),
)

STAGE = Stage(
    "scored_documents",
    version="3",
    make=score,
    fields={"num_buckets": Fields("quality.num_buckets")},
    reads={
        "scored": every_dump("scored_documents_of_dump"),
        "classifiers": whole("quality_classifiers"),
    },
)

STAGES = (DUMP, STAGE)
