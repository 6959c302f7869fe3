"""Classifiers trained on some files -> AUC on other files, kind of junk by kind of junk.

    good files A, junk of other kinds ──train_on──▶ one model a language
    good files B, junk of this kind ──score as `score` does──▶ AUC        and again with A and B exchanged

Neither a good file nor a kind of junk is ever on both sides; a legacy font is never trained on, because the
normalizer rejects it first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import fasttext
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from benchmarks.quality.corpus import CLEAN, TextFile, read_files
from tonsai_pipeline.quality.classifier import Calibration, evidence, num_units_of, raw_scores
from tonsai_pipeline.quality.evaluation import auc, calibration_error
from tonsai_pipeline.quality.features import features
from tonsai_pipeline.quality.form import form_log_odds
from tonsai_pipeline.quality.signals import Signals, measure
from tonsai_pipeline.recipe.quality import ClassifierConfig
from tonsai_pipeline.stages.train_classifiers.examples import examples_of
from tonsai_pipeline.stages.train_classifiers.stage import train_on
from tonsai_pipeline.storage.files import read_json

LANGUAGES = ("khm", "eng")
#: Good text in two halves; each is tested by classifiers trained on the other.
GOOD = (
    CLEAN,
    (
        "khm/wikipedia",
        "khm/law_ocr_pages",
        "khm/libreoffice_help",
        "eng/libreoffice_help",
        "eng/masc",
        "eng/shakespeare",
    ),
)
#: Files of each kind of junk; an AUC is against good prose of the language of the file.
KINDS = {
    "ui_strings": ("khm/junk_ui_strings", "eng/junk_ui_strings"),
    "bug_titles": ("eng/junk_bug_titles_plain",),
    "legacy_font": ("khm/junk_legacy_font",),
    "forum": ("eng/junk_forum",),
    "boilerplate_pages": ("khm/junk_boilerplate_pages", "eng/junk_boilerplate_pages"),
}


def measure_auc(data: Path, work: Path) -> list[dict[str, Any]]:
    """Return a row for each junk file and half: AUC of the score, of the form alone, of the words alone."""
    files = read_files(data)
    rows = []
    for kind, junk in KINDS.items():
        for trained, tested in (GOOD, GOOD[::-1]):
            negatives = [name for other, names in KINDS.items() if other != kind for name in names]
            models = {lang: train(lang, trained, negatives, files, work) for lang in LANGUAGES}
            rows += [_row(files[name], files, tested, models) for name in junk]
    return rows


def measure_known(data: Path, work: Path) -> list[dict[str, Any]]:
    """Return a row for each junk file that classifiers were trained on: AUC against good files they were not.

    The good files are held out whole, of each junk file a tenth of the documents is: what the stage itself reports.
    """
    files = read_files(data)
    junk = [name for names in KINDS.values() for name in names]
    rows = []
    for lang in LANGUAGES:
        folder = train(lang, [*GOOD[0], *GOOD[1]], junk, files, work, held_out=GOOD[0])
        measured = cast("dict[str, Any]", read_json(folder / "evaluation.json"))
        clean = [_source(name) for name in GOOD[0] if name.startswith(lang)]
        rows += [
            {
                "classifier": lang,
                "junk": name,
                **{good: measured["auc_by_source"][good][_source(name)] for good in clean},
                "all": measured["auc"],
                "calibration_error": measured["calibration_error"],
            }
            for name in junk
            if name.startswith(lang) and _source(name) in measured["auc_by_source"][clean[0]]
        ]
    return rows


def train(
    lang: str,
    good: Sequence[str],
    junk: Sequence[str],
    files: Mapping[str, TextFile],
    work: Path,
    *,
    held_out: Sequence[str] = (),
) -> Path:
    """Train the classifier of a language as the stage does; return its folder.

    Args:
        lang: `khm` or `eng`.
        good: Files of good text; those of other languages are left out.
        junk: Files of junk; those that normalization left nothing of are left out.
        files: Every file.
        work: Scratch folder.
        held_out: Files among these that are not trained on and only measured.
    """
    left = {name: np.flatnonzero(~files[name].rejected) for name in (*good, *junk)}
    config = ClassifierConfig(
        positives=tuple(_source(name) for name in good if name.startswith(lang)),
        negatives=tuple(_source(name) for name in junk if len(left[name])),
        held_out=tuple(_source(name) for name in held_out if name.startswith(lang)),
    )
    tables = []
    for name, rows in left.items():
        source = _source(name)
        mine = rows
        if source in config.positives:
            mine = rows[files[name].judged_as()[rows] == lang]
        if source in (*config.positives, *config.negatives):
            hashes = [xxhash.xxh3_64_intdigest(f"{name}/{row}".encode()) for row in mine]
            tables.append(
                examples_of(files[name].texts.take(pa.array(mine)), hashes, source, config)
            )
    key = xxhash.xxh3_64_hexdigest(repr((lang, config)).encode())
    folder = work / f"classifier-{key}"
    (folder / ".work").mkdir(parents=True, exist_ok=True)
    train_on(pa.concat_tables(tables).sort_by("hash"), config, folder)
    return folder


def scores(file: TextFile, models: Mapping[str, Path]) -> Mapping[str, npt.NDArray[np.floating]]:
    """Score every document as `score` does, by the rules and the classifier of its language.

    Returns:
        `score`, `form` and `words` (log-odds of the classifier alone), each of shape (num_docs,).
    """
    by = file.judged_as()
    signals = measure(file.texts)
    found = {name: np.zeros(len(by)) for name in ("score", "form", "words")}
    for lang, folder in models.items():
        mine = np.flatnonzero(by == lang)
        if not len(mine):
            continue
        settings = cast("dict[str, Any]", read_json(folder / "calibration.json"))
        model = fasttext.load_model(str(folder / "model.bin"))
        lines = features(file.texts.take(mine), max_units=settings["max_units"])
        form = form_log_odds(Signals(signals.values[mine]))
        words = raw_scores(model, lines)
        found["words"][mine], found["form"][mine] = words, form
        calibration = Calibration(settings["slope"], settings["offset"])
        found["score"][mine] = calibration.apply(evidence(words, form, num_units_of(lines)))
    return found


def _row(
    junk: TextFile, files: Mapping[str, TextFile], tested: Sequence[str], models: Mapping[str, Path]
) -> dict[str, Any]:
    good = [name for name in tested if name.startswith(junk.lang)]
    parts = [scores(files[name], models) for name in good] + [scores(junk, models)]
    truth = np.concatenate(
        [np.ones(len(part["score"]), bool) for part in parts[:-1]]
        + [np.zeros(len(parts[-1]["score"]), bool)]
    )
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return {
        "junk": junk.name,
        "good": ", ".join(name.split("/")[1] for name in good),
        "auc": auc(joined["score"], truth),
        "auc_form_only": auc(joined["form"], truth),
        "auc_words_only": auc(joined["words"], truth),
        "calibration_error": calibration_error(joined["score"], truth),
        "median_good": float(np.median(joined["score"][truth])),
        "median_junk": float(np.median(joined["score"][~truth])),
    }


def _source(name: str) -> str:
    return name.replace("/", "_")
