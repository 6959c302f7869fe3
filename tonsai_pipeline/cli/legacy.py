"""`tonsai legacy inspect`: fonts of a file, which family fits its pages, and a page before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from tonsai_pipeline.storage.dumps import RawRecord
    from tonsai_pipeline.text.legacy import FontTable, Layout

app = typer.Typer(no_args_is_help=True, help="Khmer in fonts from before Unicode.")
_SHOWN_CHARS = 1500
_MAX_PAGES = 40


@app.callback()
def _group() -> None:
    """Keep `inspect` a command of its own."""


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="PDF, text, or any format of a dump.")],
    page: Annotated[int, typer.Option("--page", min=1, help="Page that is shown.")] = 1,
    document: Annotated[int, typer.Option("--document", min=1, help="Which document.")] = 1,
    table: Annotated[
        list[Path] | None, typer.Option("--table", help="A table of your own, as TSV.")
    ] = None,
) -> None:
    """Show the fonts of a file, how well each family fits each page, and one page before and after.

    Example: `tonsai legacy inspect law.pdf --page 3`
    """
    from rich.console import Console

    from tonsai_pipeline.errors import DataError
    from tonsai_pipeline.stages.normalize.legacy import layout_of, read_tables
    from tonsai_pipeline.storage.dumps import read_dump_file
    from tonsai_pipeline.storage.dumps.records import BadRow

    tables = read_tables(table or [])
    console = Console(highlight=False, markup=False, soft_wrap=True)
    records = read_dump_file(str(file), text_layout="file")
    found = next((row for number, row in enumerate(records, 1) if number == document), None)
    if found is None:
        raise DataError(f"{file}: there is no document {document}")
    if isinstance(found, BadRow):
        raise DataError(f"{file}: {found.reason}: {found.detail}")
    layout = layout_of(found.meta)
    if layout is not None:
        _show_fonts(console, found, layout, tables)
    _show_pages(console, found, layout, tables, page)


def _show_fonts(
    console: Console, record: RawRecord, layout: Layout, tables: tuple[FontTable, ...]
) -> None:
    from collections import Counter

    from rich.table import Table

    from tonsai_pipeline.text.legacy import family_of_font

    starts, fonts = layout.font_runs[::2], layout.font_runs[1::2]
    num_chars: Counter[int] = Counter()
    for start, end, font in zip(starts, [*starts[1:], len(record.text)], fonts, strict=True):
        num_chars[font] += end - start
    shown = Table("font", "family by its name", "characters")
    for font, number in num_chars.most_common():
        name = layout.fonts[font]
        shown.add_row(name, family_of_font(name, tables) or "-", f"{number:,}")
    console.print(shown)


def _show_pages(
    console: Console,
    record: RawRecord,
    layout: Layout | None,
    tables: tuple[FontTable, ...],
    page: int,
) -> None:
    from rich.table import Table

    from tonsai_pipeline.text.legacy import convert_documents, score_families

    (found,) = convert_documents([record.text], [layout], tables=tables)
    if found is None:
        console.print("no text in a legacy font")
        return
    shown = Table("page", "verdict", "family", "coverage", "invalid", "unknown codes", "clusters")
    for one in found.pages[:_MAX_PAGES]:
        for scores in score_families(one.before, tables):
            is_best = scores.family == one.scores.family
            verdict = (one.reason or "converted") if is_best else ""
            fracs = (scores.coverage_frac, scores.invalid_frac, scores.unknown_frac)
            cells = (str(one.number) if is_best else "", verdict, scores.family)
            shown.add_row(*cells, *(f"{frac:.4f}" for frac in fracs), f"{scores.num_clusters:,}")
    console.print(shown)
    if len(found.pages) > _MAX_PAGES:
        console.print(f"and {len(found.pages) - _MAX_PAGES:,} more pages")
    wanted = next((one for one in found.pages if one.number == page), None)
    if wanted is None:
        console.print(f"page {page} has no text in a legacy font")
        return
    console.print(f"--- page {page}, as it came")
    console.print(wanted.before[:_SHOWN_CHARS])
    console.print(f"--- page {page}, {wanted.reason or 'converted'}")
    console.print(wanted.after[:_SHOWN_CHARS])
