"""PDFs made for tests: Khmer in Unicode, and a legacy font whose glyphs are boxes at the codes of Windows-1252."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from importlib import resources

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont
from fpdf import FPDF


@cache
def legacy_font(name: str = "LimonS1") -> bytes:
    """A TrueType font with a box for each code."""
    codes = [
        code
        for code in range(0x21, 0x100)
        if code not in (0x7F, 0x81, 0x8D, 0x8F, 0x90, 0x9D, 0xA0)
    ]
    chars = {ord(bytes([code]).decode("cp1252")): f"g{code:02X}" for code in codes} | {
        0x20: "space"
    }
    names = [".notdef", *chars.values()]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap(chars)
    glyphs = {}
    for glyph in names:
        pen = TTGlyphPen(None)
        if glyph != "space":
            for number, point in enumerate([(50, 0), (50, 700), (450, 700), (450, 0)]):
                (pen.lineTo if number else pen.moveTo)(point)
            pen.closePath()
        glyphs[glyph] = pen.glyph()
    font.setupGlyf(glyphs)
    font.setupHorizontalMetrics(dict.fromkeys(names, (500, 50)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable(
        {"familyName": name, "styleName": "Regular", "psName": name, "fullName": name}
    )
    font.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    font.setupPost()
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()


@cache
def khmer_font() -> bytes:
    """Noto Sans Khmer, of the package."""
    path = resources.files("tonsai_pipeline.text") / "fonts" / "NotoSansKhmer-Regular.woff2"
    font = TTFont(io.BytesIO(path.read_bytes()))
    font.flavor = None
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()


def new_pdf() -> FPDF:
    """An empty PDF with the fonts `legacy`, `khmer` and Helvetica."""
    pdf = FPDF()
    for name, data in (("legacy", legacy_font()), ("khmer", khmer_font())):
        with tempfile.NamedTemporaryFile(suffix=".ttf") as file:
            file.write(data)
            file.flush()
            pdf.add_font(name, "", file.name)
    return pdf


def write_page(pdf: FPDF, font: str, text: str, *, footer: str = "", header: str = "") -> None:
    """Add a page of running text."""
    pdf.add_page()
    if header:
        pdf.set_font("helvetica", size=9)
        pdf.cell(0, 8, header, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(font, size=11)
    pdf.multi_cell(0, 6, text, align="L")
    if footer:
        pdf.set_font("helvetica", size=9)
        pdf.set_auto_page_break(False)
        pdf.set_y(-20)
        pdf.cell(0, 5, footer)
        pdf.set_auto_page_break(True, margin=25)
