from __future__ import annotations

import bz2
from pathlib import Path

import pytest

from tonsai_pipeline.storage.dumps.records import Tally
from tonsai_pipeline.storage.dumps.web import mediawiki
from tonsai_pipeline.storage.dumps.web.wikitext import strip_markup
from tonsai_pipeline_tests.storage.dumps.files import read, texts

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="km">
  <siteinfo>
    <sitename>Wiki</sitename>
    <base>https://km.wikipedia.example/wiki/Main</base>
    <namespaces>
      <namespace key="-2" case="first-letter">Media</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">ឯកសារ</namespace>
      <namespace key="14" case="first-letter">ចំណាត់ថ្នាក់ក្រុម</namespace>
    </namespaces>
  </siteinfo>
"""


def page(title: str, text: str, *, ns: int = 0, redirect: bool = False, number: int = 1) -> str:
    mark = '<redirect title="x" />' if redirect else ""
    return (
        f"<page><title>{title}</title><ns>{ns}</ns><id>{number}</id>{mark}<revision><id>9{number}</id>"
        f"<timestamp>2026-11-01T00:00:00Z</timestamp><contributor><id>7</id></contributor>"
        f"<model>wikitext</model><text bytes='1'>{text}</text></revision></page>\n"
    )


PAGES = [
    page("ភ្នំពេញ", "'''ភ្នំពេញ''' ជា[[រាជធានី]] &lt;ref&gt;x&lt;/ref&gt; a&amp;nbsp;b", number=1),
    page("Talk:x", "talk", ns=1, number=2),
    page("Old name", "#REDIRECT [[x]]", redirect=True, number=3),
    page(
        "Second page",
        "text\n\n[[ឯកសារ:a.jpg|thumb|caption]]\n[[ចំណាត់ថ្នាក់ក្រុម:x]]\n[[en:Other]]",
        number=4,
    ),
]
DUMP = (HEAD + "".join(PAGES) + "</mediawiki>").encode()


@pytest.mark.parametrize("name", ["a.xml", "a.xml.bz2"])
def test_articles_come_with_title_address_and_place_in_the_dump(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(bz2.compress(DUMP) if name.endswith("bz2") else DUMP)
    good, bad = read(path)
    assert bad == []
    assert [(row.text, row.row, row.title) for row in good] == [
        ("ភ្នំពេញ ជារាជធានី  a\u00a0b", 0, "ភ្នំពេញ"),
        ("text", 3, "Second page"),
    ]
    assert good[1].url == "https://km.wikipedia.example/wiki/Second_page"
    assert good[1].meta == '{"page_id":"4","revision_id":"94","timestamp":"2026-11-01T00:00:00Z"}'


def test_of_many_revisions_the_last_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    old = "<revision><id>1</id><text>old words</text></revision><revision>"
    path.write_bytes(DUMP.replace(b"<revision>", old.encode(), 1))
    assert texts(path)[0].startswith("ភ្នំពេញ")
    assert "old words" not in texts(path)[0]


@pytest.mark.parametrize("compress", [bytes, bz2.compress])
def test_a_truncated_dump_keeps_the_pages_before(tmp_path: Path, compress: object) -> None:
    # A bzip2 block holds 900 kB: the dump must be longer, or nothing of it can be read.
    many = "".join(page(f"T{index}", f"text {index} " * 400, number=index) for index in range(500))
    whole = compress((HEAD + many + "</mediawiki>").encode())  # pyright: ignore[reportCallIssue]
    path = tmp_path / ("a.xml" if compress is bytes else "a.xml.bz2")
    path.write_bytes(whole[: len(whole) * 2 // 3])
    good, [bad] = read(path)
    assert [row.title for row in good] == [f"T{index}" for index in range(len(good))]
    assert 100 < len(good) < 500
    assert (bad.row, bad.reason) == (len(good), "truncated_file")
    assert f"T{len(good)}" in bad.excerpt


def test_broken_xml_costs_its_page_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(DUMP.replace(b"<title>Talk:x</title>", b"<title>Talk:x</titel>"))
    good, [bad] = read(path)
    assert [row.row for row in good] == [0, 3]
    assert (bad.row, bad.reason, bad.lost_bytes) == (1, "broken_xml", 0)
    assert "mismatched tag" in bad.detail
    assert bad.byte_offset == DUMP.index(b"<page><title>Talk")


def test_a_page_of_any_length_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    huge = page("Huge", "word " * 1_000_000, number=5)
    path.write_bytes(DUMP.replace(PAGES[1].encode(), huge.encode()))
    good, [bad] = read(path, max_document_bytes=1000)
    assert [row.row for row in good] == [0, 3]
    assert (bad.row, bad.reason) == (1, "too_long")
    assert "5,000,000 bytes" in bad.detail


@pytest.mark.parametrize(
    ("markup", "prose"),
    [
        ("'''b''' ''i'' [[a|b]] [[c]] [http://x.example d] [http://x.example]", "b i b c d"),
        ("a {{t|[[x]]}} b {{{1|c}}}", "a  b"),
        ("{| class='x'\n! h\n|-\n| c\n|}\nafter", "after"),
        ("== H ==\ntext\n=== I ===\nmore", "H\ntext\nI\nmore"),
        ("* one\n* two\n# three\n: four", "one\ntwo\nthree\nfour"),
        ("a<!-- hidden -->b<br/>c<ref name='r'>d</ref><ref name='r'/>", "ab\nc"),
        ("<math>x^2</math><gallery>\nFile:a.jpg\n</gallery>z", "z"),
        ("<div>in</div><span>side</span>", "in\nside"),
        ("[[File:a.jpg|thumb|A [[linked]] caption]]t[[Category:C]][[:Category:D]]", "tCategory:D"),
        ("[[en:Title]][[zh-min-nan:T]]t [[q:Quote|shown]]", "t shown"),
        ("[[EN: Title]]x [[UN: a history]] [[TV: on]] [[Abc:d]]", "x UN: a history TV: on Abc:d"),
        ("a\n{| class='x'\n! h\n|-\n| c [[x]]\n| d {{t}}\nafter\n\nmore", "a\n\nafter\n\nmore"),
        ("| stray\n|}\nafter", "after"),
        ("a<ref name='x'>b [[c]] d\n\nnext <ref>ok</ref> para", "a\n\nnext  para"),
        ("<gallery>\nFile:x.jpg|cap\n\nafter", "after"),
        ("x <div>in side</span>\n\ny</ref></div>", "x in side\n\ny"),
        ("a <math>x^2 text\nb", "a\nb"),
        ("<nowiki><ref>| a</nowiki> &lt;div&gt; &#124;", "<ref>| a <div> |"),
        ("a&nbsp;b &lt;c&gt; &#6016;", "a\u00a0b <c> ក"),
        ("__NOTOC__ __TOC__x", "x"),
        ("p\n\n\n\nq", "p\n\nq"),
        ("unclosed [[link and {{template", "unclosed [[link and {{template"),
        ("<nowiki>[[kept]]</nowiki>", "[[kept]]"),
        ("", ""),
    ],
)
def test_markup_becomes_the_prose_a_reader_sees(markup: str, prose: str) -> None:
    assert strip_markup(markup, frozenset({"file", "category"})).strip() == prose


def exported_without_ns(pages: list[tuple[str, str]]) -> bytes:
    """An export of schema 0.3: no `<ns>`, no `<redirect>`, no `<model>`."""
    body = "".join(
        f"<page><title>{title}</title><id>{number}</id><revision><id>9{number}</id>"
        f"<text xml:space='preserve'>{text}</text></revision></page>"
        for number, (title, text) in enumerate(pages)
    )
    return (HEAD.replace("0.11", "0.3") + body + "</mediawiki>").encode()


def test_exports_without_namespaces_go_by_the_title(tmp_path: Path) -> None:
    pages = [
        ("ភ្នំពេញ", "text"),
        ("Talk:x", "talk"),
        ("User talk:x", "talk"),
        ("ឯកសារ:a.jpg", "picture"),
        ("Star Wars: A story", "film"),
        ("Old", "#REDIRECT [[New]]"),
        ("ចាស់", "#បញ្ជូនបន្ត [[ថ្មី]]"),
        ("List", "#one [[x]] and more"),
        ("Nothing", "{{stub}}"),
    ]
    path = tmp_path / "a.xml"
    path.write_bytes(exported_without_ns(pages))
    tally = Tally()
    good, bad = read(path, tally=tally)
    assert bad == []
    assert [row.title for row in good] == ["ភ្នំពេញ", "Star Wars: A story", "List"]
    assert tally.skipped == {"namespace": 3, "redirect": 2, "empty": 1}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"</title>", b"</titel>"),
        (b"<title>", b"<title"),
        (b"</text>", b",/text>"),
        (b"</page>", b""),
        (b"</page>", b"</qage>"),
        (b"<page>", b"<qage>"),
        (b"<text", b"\x00<text"),
        (b"<text", b"\xff<text"),
        (b"<ns>0", b"<ns>0 & <"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [7, 1000, 1 << 16])
def test_a_fault_costs_its_page_and_at_most_its_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes, chunk_bytes: int
) -> None:
    monkeypatch.setattr(mediawiki, "_CHUNK_BYTES", chunk_bytes)
    pages = [page(f"T{index}", f"text {index}", number=index) for index in range(60)]
    broken = pages[30].encode().replace(old, new, 1)
    path = tmp_path / "a.xml"
    path.write_bytes(
        HEAD.encode()
        + "".join(pages[:30]).encode()
        + broken
        + "".join(pages[31:]).encode()
        + b"</mediawiki>"
    )
    good, bad = read(path)
    lost = {f"T{index}" for index in range(60)} - {row.title for row in good}
    assert lost <= {"T30", "T31"}
    assert bad
    assert len(good) == 60 - len(lost)
    assert all(row.lost_bytes == 0 for row in bad)


def test_dumps_that_were_joined_are_one_dump(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(DUMP + b"\n" + DUMP)
    assert [row.title for row in read(path)[0]] == ["ភ្នំពេញ", "Second page"] * 2
    assert read(path)[1] == []


def test_a_file_that_is_no_dump_names_all_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(b"just text\n" * 1000)
    good, [bad] = read(path)
    assert (good, bad.reason) == ([], "broken_xml")
    assert bad.lost_bytes == 10_000
