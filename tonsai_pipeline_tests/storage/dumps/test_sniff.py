from __future__ import annotations

from pathlib import Path

import pytest

from tonsai_pipeline.storage.dumps.records import Dialect
from tonsai_pipeline.storage.dumps.tables.sniff import sniff_dialect

CSV, TSV = Dialect(",", "minimal"), Dialect("\t", "none")


@pytest.mark.parametrize(
    ("name", "row", "habit", "expected"),
    [
        ("plain", "{n},text {n}", CSV, Dialect()),
        ("quoted", '{n},"a, b {n}"', CSV, Dialect()),
        ("doubled quotes", '{n},"say ""hi"", {n}"', CSV, Dialect()),
        ("semicolons", "{n};a, b {n}", CSV, Dialect(delimiter=";")),
        ("tabs in a .csv", "{n}\ta, b {n}", CSV, Dialect(delimiter="\t")),
        ("backslashes", '{n},"say \\"hi\\", {n}"', CSV, Dialect(escape="\\")),
        ("tsv", '{n}\t"a" text {n}', TSV, Dialect()),
        ("open quotes in tsv", '{n}\t"text {n}', TSV, Dialect()),
        ("quoted tsv", '"{n}"\t"a\tb {n}"', TSV, Dialect(quoting="minimal")),
        ("one column", "text {n}", CSV, Dialect()),
    ],
)
def test_what_differs_from_the_habit_is_proposed(
    tmp_path: Path, name: str, row: str, habit: Dialect, expected: Dialect
) -> None:
    rows = [row.replace("{n}", str(n)) for n in range(300)]
    delimiter = expected.delimiter or habit.delimiter
    header = "text" if name == "one column" else f"id{delimiter}text"
    path = tmp_path / "a.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    assert sniff_dialect(str(path), habit) == expected, name
