from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonsai_pipeline_tests.storage.dumps.files import COMPRESSIONS, read, texts

CONTENT = "first line\nsecond line\n\n\nnew block\r\n  \nlast"


@pytest.mark.parametrize("suffix", ["", *COMPRESSIONS])
@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("file", ["first line\nsecond line\n\n\nnew block\n  \nlast"]),
        ("line", ["first line", "second line", "new block", "last"]),
        ("blank_line", ["first line\nsecond line", "new block", "last"]),
    ],
)
def test_a_document_is_what_the_layout_says(
    tmp_path: Path, suffix: str, layout: str, expected: list[str]
) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(COMPRESSIONS.get(suffix, bytes)(CONTENT.encode()))
    assert texts(path, text_layout=layout) == expected


def test_a_block_with_bad_bytes_or_too_many_of_them_is_bad_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\n\none\n\xfftwo\n\n" + b"long\n" * 100 + b"\nalso good\n\nnul\0\n")
    good, bad = read(path, max_document_bytes=100)
    assert [(row.text, row.row) for row in good] == [("good", 0), ("also good", 3)]
    assert [(row.row, row.byte_offset, row.reason) for row in bad] == [
        (1, 6, "invalid_utf8"),
        (2, 16, "too_long"),
        (4, 528, "nul_character"),
    ]
    assert "499 bytes" in bad[1].detail


@pytest.mark.parametrize("layout", ["file", "line", "blank_line"])
def test_a_torn_document_is_not_kept_as_if_it_were_whole(tmp_path: Path, layout: str) -> None:
    blocks = [f"block {index}\nits second line {index}" for index in range(5000)]
    packed = COMPRESSIONS[".gz"]("\n\n".join(blocks).encode())
    path = tmp_path / "a.txt.gz"
    path.write_bytes(packed[: len(packed) // 2])
    good, [bad] = read(path, text_layout=layout)
    whole = {
        "file": [],
        "blank_line": blocks,
        "line": [line for block in blocks for line in block.split("\n")],
    }
    assert [row.text for row in good] == whole[layout][: len(good)]
    assert (bad.row, bad.reason) == (len(good), "truncated_file")
    assert bad.excerpt.startswith("block") or layout == "line"


def test_an_empty_file_is_no_document(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b" \n\n")
    assert texts(path, text_layout="file") == texts(path, text_layout="line") == texts(path) == []


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1).filter(
    lambda line: line.encode().strip() != b""
)


@settings(max_examples=100, deadline=None)
@given(blocks=st.lists(st.lists(LINES, min_size=1, max_size=4), max_size=8), gap=st.integers(2, 4))
def test_blocks_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[str]], gap: int
) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    written = ["\n".join(lines) for lines in blocks]
    path.write_bytes(("\n" * gap).join(written).encode())
    expected = [written[0].removeprefix("\ufeff"), *written[1:]] if written else []
    assert texts(path) == [text for text in expected if text.encode().strip()]
