"""Wiki markup -> the prose a reader sees.

    '''Bold''' [[link|text]]{{template}}<ref>..</ref> ──strip_markup──▶ Bold text

`mwparserfromhell` parses; what is no prose is taken out of its tree first: templates, tables, references,
galleries, and links to files and categories.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import mwparserfromhell
from mwparserfromhell.nodes import (
    Comment,
    ExternalLink,
    Heading,
    HTMLEntity,
    Node,
    Tag,
    Text,
    Wikilink,
)
from mwparserfromhell.wikicode import Wikicode

from tonsai_pipeline.storage.dumps.web.wiki_languages import LANGUAGE_PREFIXES

#: Tags whose content is no prose.
_DROPPED_TAGS = frozenset(
    {"categorytree", "ce", "chem", "gallery", "graph", "hiero", "imagemap", "inputbox", "mapframe"}
    | {"math", "ref", "references", "score", "section", "source", "syntaxhighlight", "style"}
    | {"table", "templatedata", "templatestyles", "timeline"}
)
_BREAKING_TAGS = frozenset(["br", "hr", "p", "div", "li", "dd", "dt", "tr", "blockquote", "poem"])
_MAGIC_WORDS = re.compile(r"__[A-Z]{3,}__")
_SPACE_AROUND_LINE_END = re.compile(r"[ \t\r]*\n[ \t]*")
_BLANK_LINES = re.compile(r"\n{3,}")
#: What is left of tags and tables that are never closed. Inline ones end with their line, others with the
#: paragraph; of tags around prose only the tag itself is no prose.
_INLINE_TAGS = ("ce", "chem", "math", "ref")
_PROSE_TAGS = (
    *(
        "b",
        "big",
        "blockquote",
        "br",
        "center",
        "cite",
        "code",
        "del",
        "div",
        "em",
        "font",
        "h1",
        "h2",
        "h3",
    ),
    *(
        "h4",
        "hr",
        "i",
        "includeonly",
        "ins",
        "kbd",
        "li",
        "noinclude",
        "nowiki",
        "ol",
        "onlyinclude",
        "p",
    ),
    *(
        "poem",
        "pre",
        "s",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "td",
        "th",
        "tr",
        "tt",
        "u",
        "ul",
    ),
)
_LEFT_OPEN = re.compile(
    rf"<(?:{'|'.join(_INLINE_TAGS)})\b[^<>\n]*>[^\n]*"
    rf"|<(?:{'|'.join(sorted(_DROPPED_TAGS - {*_INLINE_TAGS}))})\b[^<>]*>(?:(?!\n[ \t]*\n).)*"
    rf"|</?(?:{'|'.join((*_PROSE_TAGS, *sorted(_DROPPED_TAGS)))})\b[^<>\n]*>"
    r"|^\{\|[^\n]*(?:\n[ \t:]*[|!][^\n]*)*"
    r"|^[ \t:]*\|[^\n]*",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
#: `<` and `|` that are text, as `<nowiki>` and entities write them: control characters are in no XML file.
_SHIELDED = str.maketrans({"<": "\x01", "|": "\x02"})
_UNSHIELDED = str.maketrans({"\x01": "<", "\x02": "|"})


def strip_markup(markup: str, link_prefixes: frozenset[str]) -> str:
    r"""Return the prose of a page, paragraphs separated by blank lines as in the markup.

    Args:
        markup: Wiki markup.
        link_prefixes: Lower-case namespace names whose links are no prose (file, category and what the
            wiki's own language calls them).

    Example:
        >>> strip_markup("'''A''' is [[b|c]]{{x}}.<ref>d</ref>\n\n== E ==\n* f", frozenset())
        'A is c.\n\nE\nf'
    """
    text = "".join(_pieces(mwparserfromhell.parse(markup), link_prefixes))
    if "<" in text or "|" in text:
        text = _LEFT_OPEN.sub("", text)
    text = text.translate(_UNSHIELDED)
    text = _SPACE_AROUND_LINE_END.sub("\n", _MAGIC_WORDS.sub("", text))
    return _BLANK_LINES.sub("\n\n", text).strip()


def _pieces(code: Wikicode | None, link_prefixes: frozenset[str]) -> Iterator[str]:
    for node in code.nodes if code is not None else ():
        yield from _node_pieces(node, link_prefixes)


def _node_pieces(node: Node, link_prefixes: frozenset[str]) -> Iterator[str]:
    """Yield the prose of one node; templates, arguments and comments have none."""
    if isinstance(node, Text):
        yield str(node.value)
    elif isinstance(node, HTMLEntity):
        yield (node.normalize() or "").translate(_SHIELDED)
    elif isinstance(node, Heading):
        yield "".join(_pieces(node.title, link_prefixes)).strip()
    elif isinstance(node, Wikilink):
        yield from _link_pieces(node, link_prefixes)
    elif isinstance(node, ExternalLink):
        if node.title is not None:
            yield from _pieces(node.title, link_prefixes)
        elif not node.brackets:
            yield str(node.url)
    elif isinstance(node, Tag):
        yield from _tag_pieces(node, link_prefixes)
    elif isinstance(node, Comment):
        return


def _link_pieces(link: Wikilink, link_prefixes: frozenset[str]) -> Iterator[str]:
    title = str(link.title).strip()
    prefix = title.partition(":")[0].strip().lower() if ":" in title else ""
    if prefix in link_prefixes:
        return
    # Without a leading colon, `[[en:Title]]` is an entry of the sidebar and not part of the text.
    if link.text is None and prefix in LANGUAGE_PREFIXES:
        return
    if link.text is not None:
        yield from _pieces(link.text, link_prefixes)
    else:
        yield "".join(_pieces(link.title, link_prefixes)).lstrip(":")


def _tag_pieces(tag: Tag, link_prefixes: frozenset[str]) -> Iterator[str]:
    name = str(tag.tag).strip().lower()
    if name in _DROPPED_TAGS:
        return
    # List marks (* # ; :) come as tags without content; the line break before them is text already.
    line_end = "\n" if name in _BREAKING_TAGS and not tag.wiki_markup else ""
    yield line_end
    pieces = _pieces(tag.contents, link_prefixes)
    yield from (piece.translate(_SHIELDED) for piece in pieces) if name == "nowiki" else pieces
    yield "" if tag.self_closing else line_end
