"""Which text of a document is legacy, of which family, and what may pass."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pytest

from tonsai_pipeline.text.legacy import (
    Layout,
    convert_documents,
    legacy_meta,
    shipped_tables,
    table_of,
)
from tonsai_pipeline.text.legacy.guess import guess_tables
from tonsai_pipeline.text.utf8 import batch_of_arrow
from tonsai_pipeline_tests.text.legacy.encoder import encode
from tonsai_pipeline_tests.text.samples import ENGLISH_SENTENCE, KHMER_SENTENCE

#: Sentences of our own.
PAGE = (
    "រាល់ពលរដ្ឋខ្មែរមានសិទ្ធិស្មើគ្នាចំពោះមុខច្បាប់ និងមានសិទ្ធិសេរីភាពដូចគ្នា ។ រដ្ឋាភិបាលបានធ្វើការជាមួយប្រជាជន ដើម្បីអភិវឌ្ឍន៍ប្រទេស "
    "និងការពារសុខភាពរបស់កុមារនៅក្នុងខេត្តទាំងអស់ ។ សាលារៀនត្រូវបានសាងសង់នៅជិតផ្លូវធំ ហើយគ្រូបង្រៀនទទួលបានប្រាក់ខែពីក្រសួងអប់រំ ។ "
)


@pytest.mark.parametrize("family", ["limon", "abc"])
def test_a_page_tells_its_family_and_english_lines_stay(family: str) -> None:
    text = f"{encode(PAGE, family)}\n{ENGLISH_SENTENCE}\n{encode(PAGE, family)}"
    (found,) = convert_documents([text])
    assert found is not None
    assert (found.families, found.refused) == ({family: 1}, {})
    assert found.text.split("\n")[1] == ENGLISH_SENTENCE
    assert found.text.startswith(PAGE[:60])
    meta = legacy_meta(found)
    assert meta["tables"] == {family: table_of(family).id}
    assert (meta["num_unknown"], meta["num_codes"] > 400) == (0, True)


def test_fonts_tell_what_is_legacy_and_pages_are_judged_one_by_one() -> None:
    good, khmer = encode(PAGE, "limon"), KHMER_SENTENCE + " "
    bad = "".join(random.Random(1).sample(good, len(good)))
    text = khmer + good + bad + "T1,"
    runs = [0, 0, len(khmer), 1, len(khmer + good), 1]
    layout = Layout(["KhmerOS", "AAAAAA+LimonS1"], runs, [0, len(khmer + good)])
    (found,) = convert_documents([text], [layout])
    assert found is not None
    assert [(page.number, page.reason is None) for page in found.pages] == [(1, True), (2, False)]
    assert found.text.startswith(khmer + PAGE[:40])
    assert bad[:20] not in found.text


def test_a_page_without_legacy_text_is_no_legacy_page() -> None:
    codes = encode(PAGE, "limon")
    layout = Layout(["LimonS1", "Arial"], [0, 0, len(codes), 1], [0, len(codes), len(codes)])
    (found,) = convert_documents([codes + ENGLISH_SENTENCE], [layout])
    assert found is not None
    assert [page.number for page in found.pages] == [1]
    assert found.text.endswith(ENGLISH_SENTENCE)


def test_counts_of_codes_tell_the_family_where_both_tables_read_the_page_alike() -> None:
    batch = batch_of_arrow(pa.array([encode(PAGE, family) for family in ("limon", "abc")]))
    tables, leads = guess_tables(batch, shipped_tables())
    assert tables.tolist() == [0, 1]
    assert leads.min() > 20


def test_a_short_page_of_no_name_beside_one_of_another_family_keeps_both() -> None:
    """The family of the document's other pages is for text that no font names."""
    long, short = encode(PAGE, "limon"), encode(PAGE[:60], "limon")
    named = encode(PAGE, "abc")
    text = long + short + named
    runs = [0, 0, len(long) + len(short), 1]
    (found,) = convert_documents([text], [Layout(["Xyz", "ABC-TEXT-05"], runs, [0, len(long)])])
    assert found is not None
    assert found.refused == {}
    assert found.text.startswith(PAGE[:40])
    assert found.text.rstrip().endswith(PAGE[-40:].strip())


def test_a_family_without_a_table_is_refused_by_name() -> None:
    text = encode(PAGE, "limon")
    (found,) = convert_documents([text], [Layout(["Baidok3A"], [0, 0], [0])])
    assert found is not None
    assert (found.text, found.refused) == ("", {"legacy_no_table": 1})


def test_real_pages_pass_and_nothing_else_does(real_data: Path) -> None:
    pages = [t for t in _texts(real_data / "khm/junk_legacy_font.jsonl.gz") if len(t) >= 100]
    found = convert_documents(pages)
    passed = [one for one in found if one is not None and one.families == {"limon": 1}]
    assert len(passed) >= 0.98 * len(pages)
    ocr = ["܀܀ cn5 8Ws qEr7 lx'IVn3 ?j\\ mN0pL wY5tR xK2sD vF9gH bJ4kM zQ1 cVn8 tYu3 eWr6 oPl " * 6]
    code = [Path(str(convert_documents.__code__.co_filename)).read_text()]
    others = [
        "eng/abc_news",
        "eng/masc",
        "eng/debian_handbook",
        "eng/junk_bug_titles_plain",
        "khm/news",
        "khm/wikipedia",
    ]
    texts = (
        [text for name in others for text in _texts(real_data / f"{name}.jsonl.gz")] + ocr + code
    )
    assert not [
        text
        for text, one in zip(texts, convert_documents(texts), strict=True)
        if one and one.families
    ]


@pytest.mark.parametrize("num_moved", [12, 25])
def test_pages_of_other_families_are_refused(real_data: Path, num_moved: int) -> None:
    """A family that shares most codes with Limon, as the real ones do: some of the frequent codes mean another letter."""
    rng = random.Random(num_moved)
    texts = _texts(real_data / "khm/news.jsonl.gz")[:60]
    keys = "aeiuIUMH;EARñþabdkmnrstlgK<V§Øúø"
    moved = rng.sample(keys, num_moved)
    other = str.maketrans(dict(zip(moved, moved[1:] + moved[:1], strict=True)))
    pages = [encode(text[:1500], "limon").translate(other) for text in texts]
    passed = [one for one in convert_documents(pages) if one is not None and one.families]
    assert not passed


def _texts(path: Path) -> list[str]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line)["text"] for line in lines]
