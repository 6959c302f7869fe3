"""Khmer in a font from before Unicode -> Unicode: fonts of the Limon and ABC families, and a user's own tables.

    from tonsai_pipeline.text.legacy import convert, convert_documents

    convert("PasaExµr")                                                  text of one family, all of it
    convert_documents(["..."])[0].text                                   finds out what is legacy, in which family, and checks it

font_tables.py  codes and what they draw, from TSV files       syllables.py  visual order -> order of Unicode, compiled
convert.py      text of a known family                         score.py      is it Khmer? which pages are refused, and why
pieces.py       what of a document is legacy                   guess.py      which family codes are probably of
pages.py        pages, converted by the table that fits        reflow.py     lines -> paragraphs
documents.py    all of it: documents in, documents out
"""

from tonsai_pipeline.text.legacy.convert import RULES_VERSION, convert, convert_batch, table_of
from tonsai_pipeline.text.legacy.documents import (
    Conversion,
    Page,
    convert_documents,
    legacy_meta,
)
from tonsai_pipeline.text.legacy.font_tables import (
    FontTable,
    family_of_font,
    parse_table,
    shipped_tables,
)
from tonsai_pipeline.text.legacy.pages import score_families
from tonsai_pipeline.text.legacy.pieces import Layout, looks_legacy
from tonsai_pipeline.text.legacy.score import DEFAULT_GATE, REFUSALS, Gate, Scores

__all__ = [
    "DEFAULT_GATE",
    "REFUSALS",
    "RULES_VERSION",
    "Conversion",
    "FontTable",
    "Gate",
    "Layout",
    "Page",
    "Scores",
    "convert",
    "convert_batch",
    "convert_documents",
    "family_of_font",
    "legacy_meta",
    "looks_legacy",
    "parse_table",
    "score_families",
    "shipped_tables",
    "table_of",
]
