"""`tonsai dedup-lookup`: is this text in the corpus already, and where."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tonsai_pipeline.cli.options import HomeOption, RecipeOption

#: Longer than the name of a file can be on common systems.
_MAX_NAME_BYTES = 255


def dedup_lookup(
    text: Annotated[
        str,
        typer.Argument(
            help="A text, or a file: each record of JSON Lines, CSV or Parquet, or a plain file as one text."
        ),
    ],
    recipe: RecipeOption = "demo",
    home: HomeOption = None,
    min_similarity: Annotated[
        float | None,
        typer.Option(
            "--min-similarity",
            min=0.01,
            max=1.0,
            help="Leave out less; the recipe's own by default.",
        ),
    ] = None,
    text_column: Annotated[
        str, typer.Option("--text-column", help="Field that holds the text, in files with fields.")
    ] = "text",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Matches shown for each text.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a match.")] = False,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            "-j",
            min=1,
            help="Parallel parts; more pay off from millions of documents on.",
        ),
    ] = 1,
) -> None:
    """Look a text up among the signed documents: copies, near duplicates, and what became of them.

    Needs minhash_signatures; with deduplicated_documents it also says whether a document stayed.

    Example: `tonsai dedup-lookup article.txt --recipe my.yaml`, `tonsai dedup-lookup "the text itself"`
    """
    from dataclasses import asdict

    from tonsai_pipeline.cli.graph import GraphOptions, open_reader, open_workspace
    from tonsai_pipeline.engine import open_engine
    from tonsai_pipeline.lookup import lookup
    from tonsai_pipeline.text.dedup_key import dedup_key

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
    reader = open_reader(loaded, workspace)
    dumps = list(reader.dumps.versions)
    kept = {key: reader.find("kept_documents_of_dump", key) for key in dumps}
    texts = read_queries(text, text_column)
    with tempfile.TemporaryDirectory() as work:
        matches = lookup(
            texts,
            {key: reader.build("minhash_signatures", key) for key in dumps},
            {key: reader.build("normalized_documents", key) for key in dumps},
            {key: artifact for key, artifact in kept.items() if artifact is not None},
            config=loaded.dedup,
            min_similarity=min_similarity or loaded.dedup.min_similarity,
            engine=open_engine("local", num_workers=workers),
            work=Path(work),
        )
    for number, said in enumerate(texts):
        found = [match for match in matches if match.query == number]
        if as_json:
            for match in found[:limit]:
                typer.echo(json.dumps(asdict(match), ensure_ascii=False))
            continue
        start = " ".join(said.split())[:60]
        if dedup_key(said) == "":
            typer.echo(f"{number}: no letter or digit to look for: {start}".rstrip(": "))
            continue
        typer.echo(f"{number}: {len(found)} in the corpus: {start}")
        for match in found[:limit]:
            fate = (
                match.fate if match.kept_doc_id is None else f"{match.fate} of {match.kept_doc_id}"
            )
            kind = "copy" if match.is_copy else f"{match.similarity:.3f}"
            typer.echo(f"    {kind:>5}  {match.doc_id}  {fate}  {match.url or ''}".rstrip())


def read_queries(text: str, text_column: str) -> list[str]:
    """Return the texts that an argument names.

    Args:
        text: A path of a file, or the text itself.
        text_column: Field that holds the text, in files with fields.

    Raises:
        DumpError: The file cannot be read.
        DataError: A record of it has no text; the message names the row. Or one word that ends like the name of
            a file of records is not one.

    Example:
        >>> read_queries("no such file, so a text", "text")
        ['no such file, so a text']
    """
    from tonsai_pipeline.errors import DataError, DumpError
    from tonsai_pipeline.storage.dumps import BadRow, detect_format, read_dump_file

    is_file = _is_file(text)
    if not is_file and (len(text.split()) != 1 or len(text.encode()) > _MAX_NAME_BYTES):
        return [text]
    try:
        detect_format(text)
        is_table = True
    except DumpError:
        is_table = False
    if not is_file:
        if is_table:
            raise DataError(f"{text}: no such file")
        return [text]
    if not is_table:
        return [Path(text).read_text(encoding="utf-8")]
    found = []
    for record in read_dump_file(text, text_column=text_column, text_layout="file"):
        if isinstance(record, BadRow):
            raise DataError(f"{text}: row {record.row}: {record.reason}: {record.detail}")
        found.append(record.text)
    return found


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte: so it is a text
        return False
