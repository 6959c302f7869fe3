"""Files of good text and of junk -> the weights of the form of a page, and how well they tell one from the other.

Fitted on half of the documents of each file and on imitations of junk, measured on the other half and, with
`--unseen`, on user-interface strings of programs of which none was used. A weight with the wrong sign is taken out and
the rest fitted again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.quality.corpus import read_files
from tonsai_pipeline.quality.evaluation import auc
from tonsai_pipeline.quality.form import FORM_FEATURES, SIGNS, WEIGHTS, form_features
from tonsai_pipeline.quality.negatives import KINDS, imitate_junk
from tonsai_pipeline.quality.signals import measure

#: Files and how much each weighs; each side weighs alike.
GOOD = {
    "khm": {
        "news": 1.0,
        "wikipedia": 1.0,
        "web_oscar": 1.0,
        "law_ocr_pages": 1.0,
        "ntrex128": 1.0,
        "dictionary": 0.5,
        "libreoffice_help": 0.5,
    },
    "eng": {
        "abc_news": 1.0,
        "state_union": 1.0,
        "debian_handbook": 1.0,
        "masc": 1.0,
        "ntrex128": 1.0,
        "fortunes": 0.5,
        "shakespeare": 1.0,
        "libreoffice_help": 0.5,
    },
}
JUNK = {
    "khm": {"junk_ui_strings": 1.0, "imitated": 1.0},
    "eng": {
        "junk_ui_strings": 1.0,
        "junk_bug_titles_plain": 1.0,
        "junk_forum": 0.5,
        "imitated": 1.0,
    },
}
_PULL = 1e-3


def fit_form(data: Path, unseen: Path | None) -> list[dict[str, Any]]:
    """Return a row for each good file and kind of junk, and one for each language with the weights."""
    files, rows = read_files(data), []
    for lang, good in GOOD.items():
        texts = {
            name: files[f"{lang}/{name}"].texts.to_pylist()
            for name in (*good, *JUNK[lang])
            if name != "imitated"
        }
        prose = [
            t
            for name in good
            if name not in ("dictionary", "libreoffice_help")
            for t in texts[name]
        ]
        kinds = [
            kind for kind in KINDS if kind != "salad"
        ]  # the form of a salad is that of its page
        texts["imitated"] = [text for text in imitate_junk(prose, kinds=kinds) if text]
        found = {
            name: form_features(measure(pa.array(t, pa.large_string())))
            for name, t in texts.items()
        }
        weights, bias = _fit(found, good, JUNK[lang])
        shipped = WEIGHTS[lang]
        rows.append(
            {
                "language": lang,
                "weights": dict(zip(FORM_FEATURES, weights.round(4).tolist(), strict=True)),
                "bias": round(bias, 3),
                "furthest from the shipped ones": float(
                    np.abs(weights - np.array(shipped[0])).max()
                ),
            }
        )
        tests = {name: half(found[name], 1) for name in JUNK[lang]}
        if unseen is not None:
            lines = (unseen / f"{lang}.txt").read_text(encoding="utf-8").split("\0")
            tests["unseen user interfaces"] = form_features(
                measure(pa.array(lines, pa.large_string()))
            )
        for junk, negative in tests.items():
            for name in good:
                both = np.concatenate([half(found[name], 1), negative]) @ np.array(shipped[0])
                truth = np.arange(len(both)) < len(both) - len(negative)
                rows.append({"language": lang, "good": name, "junk": junk, "auc": auc(both, truth)})
    return rows


def half(rows: npt.NDArray[np.float64], which: int) -> npt.NDArray[np.float64]:
    """Return one half of the documents, by a hash of their row."""
    index = np.arange(len(rows), dtype=np.int64)
    return rows[(index * 2654435761 % 2**32 >> 16) % 2 == which]


def _fit(
    found: dict[str, npt.NDArray[np.float64]], good: dict[str, float], junk: dict[str, float]
) -> tuple[npt.NDArray[np.float64], float]:
    x, y, v = [], [], []
    for truth, side in ((1.0, good), (0.0, junk)):
        for name, weight in side.items():
            rows = half(found[name], 0)
            x.append(rows)
            y.append(np.full(len(rows), truth))
            v.append(np.full(len(rows), weight / len(rows) / len(side)))
    x, y, v = np.concatenate(x), np.concatenate(y), np.concatenate(v)
    signs = np.array([SIGNS[name] for name in FORM_FEATURES])
    used = np.ones(len(signs), dtype=bool)
    mean, spread = x.mean(0), x.std(0) + 1e-6
    while True:
        z = np.c_[(x - mean) / spread * used, np.ones(len(x))]
        theta = _newton(z, y, v / v.sum())
        wrong = (theta[:-1] * signs < 0) & used
        if not wrong.any():
            weights = theta[:-1] / spread
            return weights, float(theta[-1] - weights @ mean)
        used &= ~wrong


def _newton(
    z: npt.NDArray[np.float64], y: npt.NDArray[np.float64], v: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    theta = np.zeros(z.shape[1])
    pull = np.r_[np.full(len(theta) - 1, _PULL), 0.0]
    for _ in range(80):
        chance = 1 / (1 + np.exp(-np.clip(z @ theta, -30, 30)))
        curvature = (z * (v * chance * (1 - chance))[:, None]).T @ z + np.diag(pull + 1e-9)
        step = np.linalg.solve(curvature, z.T @ (v * (chance - y)) + pull * theta)
        theta -= step
        if np.abs(step).max() < 1e-9:
            break
    return theta
