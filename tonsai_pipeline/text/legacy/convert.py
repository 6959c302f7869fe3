r"""Texts in a legacy font -> the same in Unicode.

    "PasaExµr" ──code pages undone, convert_codes──▶ order of Unicode ──normalize──▶ "ភាសាខ្មែរ"

For text that is known to be in one family. `documents` finds out which family, and what of a document is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.text.legacy import syllables
from tonsai_pipeline.text.legacy.font_tables import FontTable, shipped_tables
from tonsai_pipeline.text.normalize import normalize
from tonsai_pipeline.text.utf8 import (
    Texts,
    Utf8Batch,
    arrow_of_batch,
    batch_of_arrow,
    batch_of_text,
    frozen,
)

#: Names that the rules and the way they are applied; with a table's id it is kept with every converted document.
RULES_VERSION = "3"
#: Symbol fonts are stored at U+F000 and above.
_SYMBOLS = 0xF000
_SMALL_MU, _MICRO = 0x03BC, 0xB5


def convert(text: str, family: str | FontTable = "limon") -> str:
    r"""Return a text in Unicode, normalized. All of it is read as codes of that family.

    Raises:
        ValueError: No such family, or the text holds a lone surrogate.

    Example:
        >>> convert("RBHraCaNacRkkm<úCa")
        'ព្រះរាជាណាចក្រកម្ពុជា'
    """
    table = family if isinstance(family, FontTable) else table_of(family)
    return normalize(
        convert_utf8(batch_of_text(text), table)[0].data.tobytes().decode(errors="strict")
    )


def convert_batch(
    texts: Texts, table: FontTable
) -> tuple[pa.LargeStringArray, npt.NDArray[np.int32]]:
    """Convert every text, not yet normalized; nulls stay null.

    Returns:
        The texts, and the counts of `syllables`: shape (num_texts, 4).
    """
    batch, counts = convert_utf8(batch_of_arrow(texts), table)
    return arrow_of_batch(batch, texts), counts


def convert_utf8(batch: Utf8Batch, table: FontTable) -> tuple[Utf8Batch, npt.NDArray[np.int32]]:
    """Convert a batch of valid UTF-8 as `convert_batch` does."""
    arrays = table.children, table.entry_of, table.starts, table.symbols
    data, offsets, counts = syllables.convert_codes(*batch, code_pages(), *arrays, table.growth)
    return Utf8Batch(frozen(data), frozen(offsets)), counts


def table_of(family: str, tables: Sequence[FontTable] = ()) -> FontTable:
    """Return the table of a family, of the user's ones first.

    Raises:
        ValueError: There is none.
    """
    known = (*tables, *shipped_tables())
    for table in known:
        if table.family == family:
            return table
    names = ", ".join(table.family for table in known)
    raise ValueError(f"no table for the font family {family!r}; there are {names}")


@cache
def code_pages() -> npt.NDArray[np.int16]:
    """Return the code that each character stands for: Latin-1, Windows-1252, symbol fonts; shape (65536,).

    One font comes out of documents in several of these code pages.
    """
    codes = np.full(1 << 16, syllables.NO_CODE, np.int16)
    for code in range(256):
        codes[code] = codes[_SYMBOLS + code] = code
        char = bytes([code]).decode("cp1252", "replace")
        if ord(char) < _SYMBOLS:
            codes[ord(char)] = code
    codes[_SMALL_MU] = _MICRO
    return frozen(codes)
