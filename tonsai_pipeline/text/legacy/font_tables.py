"""A table of a legacy font family -> arrays that the conversion reads.

    29 61 -> 1794 17B6 ...  ──parse_table──▶ FontTable(trie, what each entry writes)
    "ABCDEF+LimonS1,Bold"   ──family_of_font──▶ "limon"

Limon and ABC are shipped, as far as their rows were verified; a user may bring a table of another family as a TSV.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

import numpy as np
import numpy.typing as npt
import xxhash

from tonsai_pipeline.text.legacy.syllables import symbols_of
from tonsai_pipeline.text.utf8 import frozen

#: Codes of the longest entry.
MAX_CODES = 4
#: Characters that one code may become; U+1781 U+17D2 U+1789 U+17BB U+17C6 is the longest of the shipped tables.
MAX_CHARS = 8
_NUM_CODES = 256
_SUBSET = re.compile(r"^[A-Z]{6}\+")
_STYLE = re.compile(r"(?:regular|normal|bold|italic|oblique|mt)+$")


@dataclass(frozen=True, eq=False)
class FontTable:
    """What the codes of a font family draw.

    Attributes:
        family: Its name.
        version: Of the rows; with the name, and a hash of the rows, it is kept with every converted document.
        patterns: Names of its fonts, as `fonts.tsv` writes them; "*" and "?" are wild.
        entries: Codes -> Unicode text.
        children: For each node of the trie of codes the next node, -1 where there is none; int16, shape (num_nodes, 256).
        entry_of: Entry that ends at a node, or -1; int16, shape (num_nodes,).
        starts: Where an entry's symbols begin in `symbols`; int32, shape (num_entries + 1,).
        symbols: What all entries draw, as `syllables` reads it; int32.
    """

    family: str
    version: str
    patterns: tuple[str, ...]
    entries: dict[bytes, str]
    children: npt.NDArray[np.int16]
    entry_of: npt.NDArray[np.int16]
    starts: npt.NDArray[np.int32]
    symbols: npt.NDArray[np.int32]

    @cached_property
    def growth(self) -> int:
        """UTF-8 bytes that a code becomes at most, 4 where it stays what it is."""
        return max(
            4, *(-(-len(text.encode()) // len(codes)) for codes, text in self.entries.items())
        )

    @property
    def id(self) -> str:
        """Version and hash of the rows, as in `1-5f3a09c2`."""
        rows = repr(sorted(self.entries.items())).encode()
        return f"{self.version}-{xxhash.xxh3_64_hexdigest(rows)[:8]}"


def parse_table(text: str, *, name: str = "table") -> FontTable:
    r"""Read a table of codes.

    Args:
        text: Lines `# family`, `# version` and `# fonts` with a value behind a tab (fonts: patterns between commas), a
            header with the columns `codes` and `unicode`, then rows of hexadecimal numbers between spaces. Other columns
            and comments are left alone.
        name: The file, for messages.

    Raises:
        ValueError: A row or a heading is missing or wrong; the line is named.

    Example:
        >>> table = parse_table("# family\tmine\ncodes\tunicode\n6B\t1780\n6B 61\t1780 17B6\n")
        >>> table.family, table.entries[b"ka"]
        ('mine', 'កា')
    """
    settings: dict[str, str] = {}
    entries: dict[bytes, str] = {}
    columns: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            key, _, value = line[1:].partition("\t")
            settings.setdefault(key.strip(), value.strip())
        elif line.strip() and not columns:
            columns = [cell.strip() for cell in line.split("\t")]
            if not {"codes", "unicode"} <= set(columns):
                raise ValueError(f"{name}, line {number}: the header needs codes and unicode")
        elif line.strip():
            row = dict(zip(columns, line.split("\t"), strict=False))
            codes, chars = _read_row(row, f"{name}, line {number}")
            if codes in entries:
                raise ValueError(f"{name}, line {number}: codes {row['codes']} are there already")
            entries[codes] = chars
    family = settings.get("family", "")
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", family):
        raise ValueError(f"{name}: begin it with '# family', a tab, and a name in small letters")
    if not entries:
        raise ValueError(f"{name}: no row of codes")
    patterns = tuple(one.strip() for one in settings.get("fonts", "").split(",") if one.strip())
    return FontTable(family, settings.get("version", "1"), patterns, entries, *_compile(entries))


@cache
def shipped_tables() -> tuple[FontTable, ...]:
    """Return the tables of the package: Limon, then ABC."""
    return tuple(
        parse_table(_resource(f"{family}.tsv"), name=family) for family in ("limon", "abc")
    )


def family_of_font(name: str, tables: Sequence[FontTable] = ()) -> str | None:
    """Return the family that a font's name tells, None if it tells none.

    Args:
        name: As a PDF, a page or a document names it.
        tables: Tables of the user, whose patterns come first.

    Example:
        >>> [family_of_font(name) for name in ("BCDEEE+Limon S1,Bold", "ABC-TEXT-01A", "Times")]
        ['limon', 'abc-zwsp', None]
    """
    plain = re.sub(r"[^a-z0-9]", "", _SUBSET.sub("", name).lower())
    names = {plain, _STYLE.sub("", plain)}
    for pattern, family in _patterns(tables):
        if any(fnmatch.fnmatchcase(one, pattern) for one in names):
            return family
    return None


def _patterns(tables: Sequence[FontTable]) -> Iterator[tuple[str, str]]:
    for table in tables:
        yield from ((re.sub(r"[^a-z0-9*?]", "", p.lower()), table.family) for p in table.patterns)
    yield from _shipped_patterns()


@cache
def _shipped_patterns() -> tuple[tuple[str, str], ...]:
    lines = [line for line in _resource("fonts.tsv").splitlines() if not line.startswith("#")]
    return tuple((pattern, family) for pattern, family in (line.split("\t") for line in lines[1:]))


def _resource(name: str) -> str:
    return (resources.files("tonsai_pipeline.text.legacy") / "data" / name).read_text("utf-8")


def _read_row(row: dict[str, str], place: str) -> tuple[bytes, str]:
    try:
        codes = bytes.fromhex(row["codes"])
        chars = "".join(chr(int(number, 16)) for number in row["unicode"].split())
        chars.encode()
    except (KeyError, ValueError, OverflowError) as error:
        raise ValueError(f"{place}: write hexadecimal numbers: 29 61, a tab, 1794 17B6") from error
    if not 1 <= len(codes) <= MAX_CODES or not 1 <= len(chars) <= MAX_CHARS * len(codes):
        raise ValueError(
            f"{place}: an entry has 1 to {MAX_CODES} codes, and up to {MAX_CHARS} characters a code"
        )
    return codes, chars


def _compile(entries: dict[bytes, str]) -> tuple[np.ndarray, ...]:
    nodes: list[dict[int, int]] = [{}]
    ends: dict[int, int] = {}
    for index, codes in enumerate(entries):
        node = 0
        for code in codes:
            if code not in nodes[node]:
                nodes[node][code] = len(nodes)
                nodes.append({})
            node = nodes[node][code]
        ends[node] = index
    children = np.full((len(nodes), _NUM_CODES), -1, np.int16)
    entry_of = np.full(len(nodes), -1, np.int16)
    for node, following in enumerate(nodes):
        for code, child in following.items():
            children[node, code] = child
        entry_of[node] = ends.get(node, -1)
    drawn = [symbols_of(text) for text in entries.values()]
    starts = np.cumsum([0, *map(len, drawn)], dtype=np.int32)
    symbols = np.array([symbol for one in drawn for symbol in one], np.int32)
    return frozen(children), frozen(entry_of), frozen(starts), frozen(symbols)
