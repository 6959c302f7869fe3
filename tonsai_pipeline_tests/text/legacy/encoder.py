"""Unicode Khmer -> the codes that draw it in a legacy font: the inverse of the tables, for tests."""

from __future__ import annotations

import regex

from tonsai_pipeline.text.legacy import table_of

SYLLABLE = regex.compile(
    r"([\u1780-\u17b3])((?:\u17d2[\u1780-\u17b3]|[\u17b6-\u17d1\u17dd])*)|.", regex.DOTALL
)
#: What is drawn left of the base, and right of it.
HALVES = {
    "\u17be": ("\u17c1", "\u17b8"),
    "\u17bf": ("\u17c1", "\u17bf"),
    "\u17c0": ("\u17c1", "\u17c0"),
    "\u17c4": ("\u17c1", "\u17b6"),
    "\u17c5": ("\u17c1", "\u17c5"),
    "\u17c1": ("\u17c1", ""),
    "\u17c2": ("\u17c2", ""),
    "\u17c3": ("\u17c3", ""),
}
RO = "\u17d2\u179a"


def encode(text: str, family: str) -> str:
    """Write text as the font draws it, from left to right, in Windows-1252; characters without a code stay.

    Subscript DA is drawn as TA, and of the two letters for "give" the table has one.
    """
    codes = {chars: codes for codes, chars in reversed(table_of(family).entries.items())}
    text = text.replace("\u17d2\u178a", "\u17d2\u178f")
    pieces = []
    for match in SYLLABLE.finditer(text):
        base, rest = match.group(1), match.group(2)
        if base is None:
            pieces.append(_code(codes, match.group()))
            continue
        marks = regex.findall(r"\u17d2.|.", rest)
        left = "".join(HALVES[m][0] for m in marks if m in HALVES) + (RO if RO in marks else "")
        right = [HALVES[m][1] if m in HALVES else m for m in marks if m != RO]
        right = [m for m in right if m]
        symbols = [*regex.findall(r"\u17d2.|.", left), base, *right]
        if base == "\u1789" and any(m[0] == "\u17d2" for m in right):
            # NYO above a subscript is drawn by the upper half alone.
            symbols[symbols.index(base) : symbols.index(base) + 1] = ["\u1796", "\u17b6"]
        pieces.append("".join(_code(codes, symbol) for symbol in symbols))
    return "".join(pieces)


def _code(codes: dict[str, bytes], symbol: str) -> str:
    return codes[symbol].decode("cp1252") if symbol in codes else symbol
