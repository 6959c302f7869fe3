"""Khmer text -> the Latin-looking garbage that a pre-Unicode Khmer font leaves in a PDF.

Before Unicode, fonts of the Limon family drew Khmer on the keys of a Latin keyboard: small letters for one series of
consonants, capitals for the other, Latin-1 for what the keyboard had no key for, all in the order of the eye. Text copied
out of such a file is Latin to a computer and nothing to a reader. The table below is of that kind and of no one font.
"""

from __future__ import annotations

import regex

from tonsai_pipeline.synthetic.likeness import CLUSTER

_CLUSTER = regex.compile(CLUSTER)
_COENG_RO = "\u17d2\u179a"

_BASES = dict(
    zip(
        (chr(code) for code in range(0x1780, 0x17A3)),
        [
            "k",
            "x",
            "K",
            "X",
            "g",
            "c",
            "q",
            "C",
            "Q",
            "j",
            "d",
            "z",
            "D",
            "Z",
            "N",
            "t",
            "f",
            "T",
            "F",
            "n",
            "b",
            "p",
            "B",
            "P",
            "m",
            "y",
            "r",
            "l",
            "v",
            "S",
            "O",
            "s",
            "h",
            "L",
            "G",
        ],
        strict=True,
    )
)
_MARKS = {
    "\u17b6": "a",
    "\u17b7": "i",
    "\u17b8": "I",
    "\u17b9": "w",
    "\u17ba": "W",
    "\u17bb": "u",
    "\u17bc": "U",
    "\u17bd": "Y",
    "\u17c5": "A",
    "\u17c6": "M",
    "\u17c7": "H",
    "\u17c9": "\u00b4",
    "\u17ca": "'",
    "\u17cb": "\u00c7",
    "\u17cc": "\u00d8",
    "\u17cd": "\u00eb",
    "\u17d0": "\u00bd",
}
# Drawn left of the base, some with a second half right of it.
_SURROUND = {
    "\u17be": ("e", "I"),
    "\u17bf": ("e", "O"),
    "\u17c0": ("e", "o"),
    "\u17c1": ("e", ""),
    "\u17c2": ("E", ""),
    "\u17c3": ("\u00e9", ""),
    "\u17c4": ("e", "a"),
}
_SUBSCRIPTS = dict(
    zip(
        (chr(code) for code in range(0x1780, 0x17A3)),
        "\u00e1\u00e7\u00b0\u00f6\u00b6\u00a9\u00ab\u00a2\u00a3\u00c5\u00e4\u00e6\u00ac\u00ae\u00f1\u00fa\u00f3\u00de"
        "\u00aa\u00f2\u00f9\u00f0\u00be\u00f7\u00b5\u00fc\u00df\u00f8\u00ea\u00da\u00c6\u00fb\u00f5\u00e3\u00a7",
        strict=True,
    )
)
_SIGNS = str.maketrans(
    {
        "\u17d4": ".",
        "\u17d5": "\u00bb",
        "\u17d6": "\u00d6",
        "\u17d7": "\u00ba",
        "\u00ab": "<",
        "\u00bb": ">",
    }
    | {chr(0x17E0 + digit): str(digit) for digit in range(10)}
)
# A typist of such a font put no blank between phrases as long as ours: lines broke by hand.
_MAX_WORD_CLUSTERS = 9


def legacy_font_text(text: str) -> str:
    """Write Khmer text as a Limon-style font stores it: no character of it is Khmer any more.

    >>> legacy_font_text("\u179f\u17c0\u1798\u179a\u17b6\u1794 \u17e1\u17e2")
    'esomrab 12'
    """
    pieces: list[str] = []
    end = num_clusters = 0
    for match in _CLUSTER.finditer(text):
        pieces.append(text[end : match.start()].translate(_SIGNS))
        num_clusters = num_clusters + 1 if match.start() == end else 1
        if num_clusters > _MAX_WORD_CLUSTERS:
            pieces.append(" ")
            num_clusters = 1
        pieces.append(_as_drawn(match.group()))
        end = match.end()
    return "".join([*pieces, text[end:].translate(_SIGNS)])


def _as_drawn(cluster: str) -> str:
    """Return one cluster's keys from left to right: pre-base vowel, ro, base, subscripts, the rest."""
    left, right = "", ""
    has_ro = _COENG_RO in cluster
    rest = cluster.replace(_COENG_RO, "")
    keys = [_BASES.get(rest[0], "\u00d2")]
    position = 1
    while position < len(rest):
        mark = rest[position]
        if mark == "\u17d2":
            position += 1
            keys.append(_SUBSCRIPTS.get(rest[position : position + 1], "\u00d1"))
        elif mark in _SURROUND:
            left, right = _SURROUND[mark]
        else:
            keys.append(_MARKS.get(mark, ""))
        position += 1
    return left + ("R" if has_ro else "") + "".join(keys) + right
