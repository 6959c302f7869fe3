"""rows -> a MediaWiki export: XML pages of wikitext, with redirects and talk pages between the articles.

Source: MediaWiki export schema 0.11 (https://www.mediawiki.org/xml/export-0.11.xsd).
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from xml.sax.saxutils import escape, quoteattr

from tonsai_pipeline.synthetic.corpus import PlannedRow
from tonsai_pipeline.synthetic.lexicon import word_spans
from tonsai_pipeline.synthetic.truth import Kind

_HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="km">
  <siteinfo>
    <sitename>វិគីគំរូ</sitename>
    <dbname>syntheticwiki</dbname>
    <base>https://khm-wiki.example/</base>
    <generator>tonsai synthetic</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">ការពិភាក្សា</namespace>
    </namespaces>
  </siteinfo>
"""
_HEADINGS = ("ប្រវត្តិ", "ភូមិសាស្ត្រ", "សេដ្ឋកិច្ច", "សព្វថ្ងៃ", "វប្បធម៌", "បញ្ហាប្រឈម", "អនាគត")


def mediawiki_xml(rows: Iterable[PlannedRow]) -> str:
    """Write an export. An article's title is its headline and number; redirects point at the article before them."""
    pages: list[str] = []
    last_title = "ទំព័រដើម"
    for row in rows:
        name = page_title(row)
        if row.truth.kind is not Kind.NOT_AN_ARTICLE:
            last_title = name
            pages.append(_page(row, name, 0, wikitext(row)))
        elif row.truth.row % 2:
            pages.append(_page(row, name, 0, f"#REDIRECT [[{last_title}]]", redirect=last_title))
        else:
            talk = f"== {row.text} ==\n{row.text}។ --[[User:Sample|Sample]] ([[User talk:Sample|talk]]) 08:00, 1 September 2026 (UTC)"
            pages.append(_page(row, f"ការពិភាក្សា:{name}", 1, talk))
    return f"{_HEAD}{''.join(pages)}</mediawiki>\n"


def page_title(row: PlannedRow) -> str:
    """Return the unique title of a row's page."""
    return f"{row.truth.title or row.text} ({row.truth.id.rpartition('-')[2]})"


def wikitext(row: PlannedRow) -> str:
    """Dress a document in wiki markup: an infobox, links, headings, references, a category.

    Taking the markup away gives back the paragraphs of the document, headings between them.
    """
    rng = Random(row.truth.id)
    lead, *paragraphs = (_linked(paragraph, rng) for paragraph in row.text.split("\n"))
    parts = [
        f"{{{{Infobox settlement\n| name = {row.truth.title}\n| population = {rng.randrange(900, 90_000)}\n}}}}"
    ]
    parts.append(f"{lead}<ref>{{{{cite web |url={row.truth.url} |title={row.truth.title}}}}}</ref>")
    headings = rng.sample(_HEADINGS, len(_HEADINGS))
    for number, paragraph in enumerate(paragraphs):
        parts.append(f"== {headings[number % len(headings)]} ==\n{paragraph}")
    parts.append("== ឯកសារយោង ==\n<references />\n[[Category:ភូមិ]]")
    return "\n\n".join(parts)


def _linked(paragraph: str, rng: Random) -> str:
    """Make some words of the vocabulary links, bold or italic."""
    pieces, position = [], 0
    for start, end, word in word_spans(paragraph):
        # Two runs of quotes that touch would read as one.
        if rng.random() > 0.08 or start == position:
            continue
        markup = rng.choice(
            (f"[[{word}]]", f"[[ទំព័រ {word}|{word}]]", f"'''{word}'''", f"''{word}''")
        )
        pieces += [paragraph[position:start], markup]
        position = end
    return "".join([*pieces, paragraph[position:]])


def _page(row: PlannedRow, name: str, namespace: int, text: str, redirect: str = "") -> str:
    number = row.truth.row + 1
    target = f"\n    <redirect title={quoteattr(redirect)} />" if redirect else ""
    size = len(text.encode())
    return f"""  <page>
    <title>{escape(name)}</title>
    <ns>{namespace}</ns>
    <id>{number}</id>{target}
    <revision>
      <id>{1000 + number}</id>
      <timestamp>2026-09-01T00:00:00Z</timestamp>
      <contributor>
        <username>Sample</username>
        <id>1</id>
      </contributor>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="{size}" xml:space="preserve">{escape(text)}</text>
    </revision>
  </page>
"""
