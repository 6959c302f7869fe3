"""normalized_documents and deduplicated_documents of all dumps -> scored_documents.

    dump ──score_part──▶ part-*.parquet, signals/part-*.parquet      one artifact a dump, cached for itself
    all  ──summary────▶ dumps.json, buckets.json, to_read.json; groups.parquet, carried on for the mixture

A dump is scored again only if its text, its keep-list, the rules or a classifier changed.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tonsai_pipeline.engine import Engine, Part, map_parts
from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.quality.classifier import CLASSIFIER_VERSION
from tonsai_pipeline.quality.evaluation import population_stability
from tonsai_pipeline.quality.features import FEATURES_VERSION
from tonsai_pipeline.quality.form import FORM_VERSION
from tonsai_pipeline.quality.phrases import compile_phrases
from tonsai_pipeline.quality.pii import PII_VERSION
from tonsai_pipeline.quality.rules import RULES_VERSION, Limits
from tonsai_pipeline.quality.signals import SIGNALS_VERSION
from tonsai_pipeline.recipe.quality import QualityConfig
from tonsai_pipeline.recipe.sources import Kind, Source
from tonsai_pipeline.stages.deduplicate.summary import GROUPS_FILE
from tonsai_pipeline.stages.score.classifiers import make_classifier
from tonsai_pipeline.stages.score.examples import KeptDump
from tonsai_pipeline.stages.score.parts import LanguageRules, ScoreTask, score_part
from tonsai_pipeline.stages.score.summary import add_tallies, buckets, documents_to_read, picture
from tonsai_pipeline.storage.files import atomic_path, read_json, write_json
from tonsai_pipeline.storage.store import Artifact, Store

STAGE_VERSION = (
    f"2+signals{SIGNALS_VERSION}+rules{RULES_VERSION}+form{FORM_VERSION}+features{FEATURES_VERSION}"
    f"+classifier{CLASSIFIER_VERSION}+pii{PII_VERSION}"
)
DUMP_ASSET = "scored_documents.dump"
_LANGUAGES = ("khm", "eng")


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


def score(
    normalized: Mapping[str, Artifact],
    deduplicated: Artifact,
    folder: Path,
    *,
    sources: Sequence[Source],
    config: QualityConfig,
    engine: Engine,
    store: Store,
) -> ScoreReport:
    """Score every document that deduplication kept.

    Args:
        normalized: normalized_documents by dump, in catalog order.
        deduplicated: The keep-lists.
        folder: The building folder; gets `dumps.json`, `buckets.json`, `histograms.json`, `to_read.json` and `groups.parquet`.
        sources: The recipe's sources: a source's language is what its documents should be in.
        config: The recipe's `quality` section.
        engine: Where parts are processed.
        store: Where the artifact of each dump is kept.

    Raises:
        RecipeError: A source, word list or model that the recipe names is not there.
        DataError: A dump has no keep-list.
    """
    dumps = _kept_dumps(normalized, deduplicated, store)
    classifiers = {
        language: make_classifier(language, dumps, wanted, engine=engine, store=store)
        for language, wanted in sorted(config.classifiers.items())
    }
    phrases = {language: _word_list(language, config) for language in _LANGUAGES}
    by_name = {source.name: source for source in sources}
    scored: dict[str, Artifact] = {}
    for dump in dumps:
        scored[dump.key] = _score_dump(
            dump,
            by_name[dump.source],
            config,
            _rules(config.kind_of(by_name[dump.source]), config, phrases, classifiers),
            classifiers,
            engine=engine,
            store=store,
        )
    with atomic_path(folder / GROUPS_FILE) as temporary:
        shutil.copyfile(deduplicated.path / GROUPS_FILE, temporary)
    return _report(scored, classifiers, folder, config=config, store=store)


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


def _kept_dumps(
    normalized: Mapping[str, Artifact], deduplicated: Artifact, store: Store
) -> list[KeptDump]:
    entries = cast("dict[str, dict[str, Any]]", read_json(deduplicated.path / "dumps.json"))
    missing = [key for key in normalized if key not in entries]
    if missing:
        raise DataError(
            f"{deduplicated.path}: no keep-list for {', '.join(missing)}; materialize deduplicated_documents again"
        )
    return [
        KeptDump(key, artifact, store.resolve(entries[key]["path"]))
        for key, artifact in normalized.items()
    ]


def _rules(
    kind: Kind,
    config: QualityConfig,
    phrases: Mapping[str, tuple[str, ...]],
    classifiers: Mapping[str, Artifact],
) -> dict[str, LanguageRules]:
    """Return what decides about the documents of a source, by language."""
    return {
        language: LanguageRules(
            limits=Limits.of(thresholds),
            min_score=thresholds.min_score,
            phrases=phrases[language],
            classifier=classifiers[language].path if language in classifiers else None,
        )
        for language, thresholds in ((code, config.of(code, kind)) for code in _LANGUAGES)
    }


def _word_list(language: str, config: QualityConfig) -> tuple[str, ...]:
    named = {code: path for code, path in config.word_lists.items() if code == language}
    if not named:
        return ()
    path = Path(named.popitem()[1])
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        phrases = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
        compile_phrases(phrases)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise RecipeError(f"quality.word_lists.{language}: {path}: {error}") from error
    return phrases


def _score_dump(
    dump: KeptDump,
    source: Source,
    config: QualityConfig,
    rules: Mapping[str, LanguageRules],
    classifiers: Mapping[str, Artifact],
    *,
    engine: Engine,
    store: Store,
) -> Artifact:
    drop_wrong = config.wrong_language == "drop"

    def make(folder: Path) -> dict[str, Any]:
        parts = [
            Part(
                path.stem,
                ScoreTask(
                    path, dump.keep.path / path.name, source.lang, drop_wrong, config.enabled, rules
                ),
            )
            for path in dump.normalized.parts()
        ]
        tallies = map_parts(engine, score_part, parts, folder=folder, label=f"score {dump.key}")
        total = add_tallies(tallies)
        write_json(folder / "samples.json", total.pop("samples"))
        return total

    inputs = {
        "normalized_documents": dump.normalized.data_version,
        "keep": dump.keep.data_version,
        **{f"classifier/{code}": artifact.data_version for code, artifact in classifiers.items()},
    }
    settings = {
        "khm": config.of("khm", config.kind_of(source)).settings(),
        "eng": config.of("eng", config.kind_of(source)).settings(),
        "language": source.lang,
        "wrong_language": config.wrong_language,
        "enabled": config.enabled,
        "word_lists": {code: list(rule.phrases) for code, rule in rules.items()},
    }
    return store.materialize(
        DUMP_ASSET, dump.key, make, stage_version=STAGE_VERSION, settings=settings, inputs=inputs
    )


def _report(
    scored: Mapping[str, Artifact],
    classifiers: Mapping[str, Artifact],
    folder: Path,
    *,
    config: QualityConfig,
    store: Store,
) -> ScoreReport:
    """Write the tables over all dumps and sum them up."""
    tallies = {
        key: {**artifact.report, "samples": read_json(artifact.path / "samples.json")}
        for key, artifact in scored.items()
    }
    total = add_tallies(tallies.values(), num_samples=20)
    by_source = {}
    for name in dict.fromkeys(key.split("@")[0] for key in scored):
        found = add_tallies(tally for key, tally in tallies.items() if key.split("@")[0] == name)
        shown = {key: value for key, value in found.items() if key not in ("histograms", "samples")}
        by_source[name] = {**shown, "picture": picture(found["histograms"])}
    borders = buckets(total["histograms"], config.num_buckets)
    catalog = {
        key: {
            "path": store.relative(artifact),
            "data_version": artifact.data_version,
            "num_documents": artifact.report["num_documents"],
            "num_kept": artifact.report["num_kept"],
        }
        for key, artifact in scored.items()
    }
    write_json(folder / "dumps.json", catalog)
    write_json(folder / "buckets.json", borders)
    write_json(folder / "histograms.json", total["histograms"])
    write_json(folder / "to_read.json", documents_to_read(total))
    kept = {key: value for key, value in total.items() if key not in ("histograms", "samples")}
    return ScoreReport(
        **kept,
        by_source=by_source,
        classifiers={code: dict(artifact.report) for code, artifact in classifiers.items()},
        buckets=borders,
    )
