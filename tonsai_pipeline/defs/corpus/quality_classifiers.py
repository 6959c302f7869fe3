"""quality_classifiers: a fastText model a language, and how well it does on what it was not trained on."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from tonsai_pipeline.defs.results import table
from tonsai_pipeline.defs.stage_asset import Made, Page

#: Of the table of agreement by length.
_COLUMNS = ("max_length", "num_documents", "good_frac", "accuracy")


def _pictures(made: Made) -> dict[str, Any]:
    return {
        f"classifier_{language}": _classifier(measured)
        for language, measured in made.report.items()
        if measured["trained"]
    }


def _classifier(measured: Mapping[str, Any]) -> dg.MarkdownMetadataValue:
    """Lay out how well a classifier does on what it was not trained on, and what it looks at."""
    auc_by_source = measured["auc_by_source"]
    negatives = list(dict.fromkeys(name for row in auc_by_source.values() for name in row))
    by_source = [
        [name, *(row.get(bad, "") for bad in negatives)] for name, row in auc_by_source.items()
    ]
    deciles = measured["accuracy_by_length"]
    features = measured["telling_features"]
    said = [
        (
            f"AUC {measured['auc']}, calibration error {measured['calibration_error']}, on "
            f"{measured['num_held_out']:,} documents held out of {measured['num_trained']:,}."
        ),
        "AUC of each good source (rows) against each bad one:",
        table(["", *negatives], by_source),
        "Agreement by length, a tenth of the documents a row:",
        table(_COLUMNS, [[row[name] for name in _COLUMNS] for row in deciles]),
        "Loudest units, by the log-odds of each alone:",
        table(
            ["good", "log-odds", "bad", "log-odds"],
            [[*good, *bad] for good, bad in zip(features["good"], features["bad"], strict=False)],
        ),
    ]
    return dg.MetadataValue.md("\n\n".join(said))


PAGE = Page(
    "Classifiers that tell the sources named good from those named bad (`quality.classifiers`), measured on documents "
    "held out. Where there is none, the signals of the rules make the score.",
    docs="quality.md",
    group="corpus",
    kinds=frozenset({"fasttext"}),
    pictures=_pictures,
)
