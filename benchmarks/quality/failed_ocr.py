"""Pages as failed text recognition leaves them, by kind of failure -> how many the pipeline keeps, cut or whole.

Each kind imitates one cause and is made from real pages. The limits of `text.legacy_fonts` were set on what good English,
program text and 409 languages do not reach, but the blurred pages made here were looked at while they were set: their number is no held-out
measure. A page counts as kept if it stays in an English source, which is harder than a Khmer
one: there its language alone would drop it.

Source of the confusions: Kolak and Resnik, "OCR Error Correction Using a Noisy Channel Model" (2002); Tesseract's
`unicharambigs` of English.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.texts import read
from tonsai_pipeline.quality.rules import Limits
from tonsai_pipeline.quality.verdicts import judge_texts
from tonsai_pipeline.recipe.quality import QualityConfig
from tonsai_pipeline.text import NormalizeOptions, clusters

_NUM_PAGES, _PAGE_CHARS = 100, 600
#: What a recognizer of Latin letters makes of the strokes of Khmer letters, above and below them.
_LATIN_SHAPES = [
    "fi",
    "m",
    "n",
    "U",
    "i:",
    "j",
    "tH",
    "ff",
    "S",
    "g",
    "n1",
    "ij",
    "l:",
    "nn",
    "1m",
    "fj",
    "rn",
    "ti",
    "HJ",
    "U1",
    "IS",
    "6",
    "3",
    "mfi",
    "8i",
    "Q",
    "tj",
]
_NOISE = list(
    ".,:;'`\u2019\u2018-_~|!/\\iIl1jtfrJ*^\u00b0\u00ab\u00bb=+<>()[]{}\"\u2014\u2022oO0cCeEvVwWxX"
)
_CONFUSED = {
    "m": "rn", "rn": "m", "e": "c", "c": "e", "l": "1", "i": "l", "o": "0", "h": "b", "b": "h", "n": "u", "u": "n",
    "a": "s", "t": "f", "f": "t", "r": "n", "d": "cl", "w": "vv", "s": "5", "g": "q", "y": "v", "I": "|", "B": "8",
}  # fmt: skip
#: Letters turned by half a circle, as a recognizer names them.
_TURNED = dict(zip("abcdefghijklmnopqrstuvwxyz", "eqopaj6y!ryIwuodbJs1nAmxhz", strict=True)) | dict(
    zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "V8)(3J9HIf>7WNOdOHSLnAMXkZ", strict=True)
)

Failure = Callable[[str, np.random.Generator], str]


def _khmer_as_latin(text: str, random: np.random.Generator) -> str:
    """Khmer read by a recognizer that knows Latin letters only."""
    shapes = {}
    words = []
    for line in text.split("\n"):
        for run in line.split():
            pieces = []
            for start, end in clusters(run):
                shape = shapes.setdefault(run[start:end], str(random.choice(_LATIN_SHAPES)))
                pieces.append(str(random.choice(_LATIN_SHAPES)) if random.random() < 0.3 else shape)
                if random.random() < 0.25:
                    pieces.append(" ")
            words.append("".join(pieces))
    return _wrapped(" ".join(words).split())


def _picture(_: str, random: np.random.Generator) -> str:
    """A picture, a stamp or a ruled table read as text."""
    sizes = random.geometric(0.45, size=160)
    return _wrapped([str("".join(random.choice(_NOISE, size=size))) for size in sizes])


def _blurred(text: str, random: np.random.Generator) -> str:
    """A print so bad that two letters in five are taken for others, and spaces come and go."""
    out = []
    for char in text:
        chance = random.random()
        if char == " ":
            out.append("" if chance < 0.15 else " ")
        elif chance < 0.4:
            out.append(_CONFUSED.get(char, str(random.choice(list("il1tfj.,'")))))
        else:
            out.append(char + (" " if chance > 0.92 else ""))
    return "".join(out)


def _upside_down(text: str, random: np.random.Generator) -> str:
    """A page that lay upside down in the scanner."""
    lines = _wrapped(text.split()).split("\n")
    return "\n".join(
        "".join(_TURNED.get(c, c) if random.random() > 0.05 else "." for c in line[::-1])
        for line in lines[::-1]
    )


def _spaced(text: str, random: np.random.Generator) -> str:
    """Letters set apart, some of them lost, as of a heading in wide type or of columns read across."""
    return " ".join(
        c if random.random() > 0.2 else str(random.choice(_NOISE)) for c in text if c != " "
    )


def _wrong_encoding(text: str, _: np.random.Generator) -> str:
    """Khmer stored as UTF-8 and read as Windows-1252."""
    return text.encode().decode("cp1252", "ignore")


#: Kind -> language of the pages that it is made of, and what makes it.
KINDS: dict[str, tuple[str, Failure]] = {
    "Khmer read as Latin": ("khm/news", _khmer_as_latin),
    "a picture or ruled table": ("khm/news", _picture),
    "blurred English": ("eng/abc_news", _blurred),
    "English upside down": ("eng/abc_news", _upside_down),
    "letters set apart": ("eng/abc_news", _spaced),
    "Khmer in a wrong encoding": ("khm/news", _wrong_encoding),
}


def _wrapped(words: Sequence[str]) -> str:
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > 70:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def failed_pages(data: Path, kind: str) -> list[str]:
    """Return pages of one kind, the same each time."""
    name, make = KINDS[kind]
    texts = [text for text in read(data / f"{name}.jsonl.gz") if len(text) >= _PAGE_CHARS]
    return [
        make(text[:_PAGE_CHARS], np.random.default_rng(row))
        for row, text in enumerate(texts[:_NUM_PAGES])
    ]


def measure_failed(data: Path) -> list[dict[str, Any]]:
    """Return a row for each kind of failure."""
    limits = {lang: Limits.of(QualityConfig().of(lang)) for lang in ("khm", "eng")}
    rows = []
    for kind in KINDS:
        pages = failed_pages(data, kind)
        verdicts = judge_texts(
            pa.array(pages, pa.large_string()), limits, options=NormalizeOptions(), language="eng"
        )
        reasons = Counter(v.reasons[0] for v in verdicts if v.reasons)
        rows.append(
            {
                "kind": kind,
                "pages": len(pages),
                "kept": sum(not v.reasons for v in verdicts),
                "garbage at normalization": reasons["garbage_ocr"] + reasons["legacy_khmer_font"],
                "reasons": ", ".join(f"{r} {n}" for r, n in reasons.most_common(4)),
            }
        )
    return rows
