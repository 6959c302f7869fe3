"""`tonsai normalize`, as a process would use it."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tonsai_pipeline.cli import app
from tonsai_pipeline.cli import normalize as _  # noqa: F401 - the command under test
from tonsai_pipeline.errors import DataError, DumpError

WRONG, RIGHT = "\u1780\u17c1\u17b8", "\u1780\u17be"


def _run(*arguments: str, stdin: bytes = b"") -> bytes:
    result = CliRunner().invoke(app, ["normalize", *arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.stdout_bytes


def test_text_goes_through_line_by_line() -> None:
    out = _run(stdin=f"{WRONG} a\r\n\n{WRONG}".encode())
    assert out == f"{RIGHT} a\r\n\n{RIGHT}".encode()


def test_a_json_line_without_a_change_stays_byte_for_byte(tmp_path: Path) -> None:
    same = b'{ "id": 1.50, "text": "abc" }\n\n'
    changed = json.dumps({"id": 2, "text": WRONG, "tags": [1]}).encode()
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + same + changed)
    out = _run(str(file))
    assert out.startswith(b"\xef\xbb\xbf" + same)
    assert json.loads(out.splitlines()[-1]) == {"id": 2, "text": RIGHT, "tags": [1]}


def test_only_the_text_of_a_json_line_changes() -> None:
    line = (
        f'\t{{"id" : 12345678901234567890123, "x": 1.50, "text":"{WRONG}\\n\\"", '
        f'"s": "{{\\"text\\": 1}}" , "deep": [{{"text": "{WRONG}"}}, null]}} \r\n{{"text": "\\u1780" }}'
    )
    out = _run("--format", "jsonl", stdin=line.encode()).decode()
    assert out == line.replace(WRONG, RIGHT, 1)


def test_of_a_field_given_twice_the_last_counts() -> None:
    line = f'{{"text": "{WRONG}", "text": "{WRONG}"}}'
    assert _run(stdin=line.encode()).decode() == f'{{"text": "{WRONG}", "text": "{RIGHT}"}}'


def test_files_without_a_last_line_end_do_not_run_together(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(f'{{"text": "{name}{WRONG}"}}', "utf-8")
    (tmp_path / "empty").touch()
    out = _run(*(str(tmp_path / name) for name in ("a", "empty", "b"))).decode()
    assert out == f'{{"text": "a{RIGHT}"}}\n{{"text": "b{RIGHT}"}}'


def test_files_come_one_after_the_other_and_gzip_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{WRONG}\n", "utf-8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(f"b{WRONG}\n".encode()))
    assert (
        _run(str(tmp_path / "a.txt"), str(tmp_path / "b.txt.gz")).decode() == f"{RIGHT}\nb{RIGHT}\n"
    )


def test_options_reach_the_normalizer() -> None:
    text = "\u1780\u17d2\u178a".encode()
    assert _run(stdin=text) == "\u1780\u17d2\u178f".encode()
    assert _run("--coeng-da", "preserve", stdin=text) == text
    line = json.dumps({"body": WRONG}).encode()
    assert json.loads(_run("--field", "body", stdin=line)) == {"body": RIGHT}
    assert (
        _run("--format", "text", stdin=f'{{"a": "{WRONG}"'.encode()).decode() == f'{{"a": "{RIGHT}"'
    )


def test_the_report_goes_to_standard_error() -> None:
    result = CliRunner().invoke(app, ["normalize", "--report"], input=f"{WRONG}\nb\n".encode())
    assert result.stdout == f"{RIGHT}\nb\n"
    rows = [line.split("│")[1:3] for line in result.stderr.splitlines() if "│" in line]
    counts = {name.strip(): count.strip() for name, count in rows}
    assert counts == {"lines": "2", "composed vowel": "1", "clusters": "1"}


def test_a_line_longer_than_a_block_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = sys.modules["tonsai_pipeline.cli.normalize"]
    monkeypatch.setattr(module, "_BLOCK_BYTES", 10)
    text = f"{WRONG * 20}\n{WRONG}\n" * 3
    assert _run(stdin=text.encode()).decode() == text.replace(WRONG, RIGHT)
    blocks = list(module._blocks("a", io.BytesIO(b"a\nbb\n" + b"c" * 35)))
    assert blocks == [b"a\nbb\n", b"c" * 35]


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (b"ab\ncd\xff", "standard input, line 2: not UTF-8 at byte 2"),
        (b'{"text": "a"}\n{"text": 3}', "standard input, line 2: no text in field 'text'"),
        (b'{"text": "a"}\n{"tex', "standard input, line 2: not JSON"),
        (b'{"text": "\\ud800"}', "standard input, line 1: not JSON"),
    ],
)
def test_a_bad_line_is_named(stdin: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _run(stdin=stdin)


@pytest.mark.parametrize("damage", [slice(0, -6), slice(0, 14)])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, damage: slice) -> None:
    file = tmp_path / "cut.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"text": "a"}\n' * 99)[damage])
    with pytest.raises(DumpError, match=r"cut\.jsonl\.gz: Compressed file ended"):
        _run(str(file))
    file.write_bytes(gzip.compress(b"a" * 99)[:10] + b"\xff" * 99)
    with pytest.raises(DumpError, match=r"cut\.jsonl\.gz: Error -3"):
        _run(str(file))


def test_a_file_that_only_claims_to_be_gzip_is_text(tmp_path: Path) -> None:
    file = tmp_path / "plain.txt.gz"
    file.write_text(WRONG, "utf-8")
    assert _run(str(file)).decode() == RIGHT


def test_a_missing_file_is_named() -> None:
    with pytest.raises(DumpError, match=r"nowhere\.txt: No such file"):
        _run("nowhere.txt")
