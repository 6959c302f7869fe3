"""seed, scale -> every dump of the sample as rows: text, and the truth about it.

Each dump has dice of its own, seeded with its name, so a change to one leaves the others as they were. Copies point
backwards: to a dump planned earlier or to an earlier row of the same plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from tonsai_pipeline.sample import junk
from tonsai_pipeline.sample.broken_rows import BROKEN_JSON, broken_json
from tonsai_pipeline.sample.grammar import TOPICS, Genre, Lang, document, title
from tonsai_pipeline.sample.likeness import jaccard
from tonsai_pipeline.sample.near_copies import near_copy
from tonsai_pipeline.sample.truth import Kind, PlantedDocument
from tonsai_pipeline.sample.wrong_encoding import wrong_encoding

#: Wished likenesses of near copies, dealt in turn: both sides of any threshold a person would choose.
NEAR_JACCARDS = (0.9, 0.6, 0.8, 0.4, 0.95, 0.7, 0.85, 0.5)

#: Originals have at least this many paragraphs: some 250 shingles, so that a near copy can land close to its wish.
MIN_PARAGRAPHS = 4

_MIN_ROWS = 3


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """One row of a dump: the truth about it and what to write.

    Attributes:
        truth: Id, kind, copy-of, and so on.
        text: The document; empty where the row is broken.
        line: For a broken row of JSONL, the bytes to write in its place; else empty.
    """

    truth: PlantedDocument
    text: str
    line: bytes = b""


@dataclass(frozen=True, slots=True)
class PlannedDump:
    """One dump: its name, its file name, its rows in order."""

    name: str
    file: str
    rows: tuple[PlannedRow, ...]


def plan_dumps(seed: int, scale: float) -> list[PlannedDump]:
    """Plan the whole sample.

    Args:
        seed: Same seed and scale, same plan.
        scale: Number of documents, relative to about 4 MB of text. However small, each kind is planted three times or more.

    Raises:
        ValueError: `scale` is not positive.
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, not {scale}")
    khm_news = _Planner("khm_news@20260901", "jsonl.gz", "khm", seed, scale)
    originals = khm_news.good(150, "news")
    khm_news.exact_copies(originals, 6)
    khm_news.junk(Kind.TINY, 8, junk.tiny_document)
    khm_wiki = _Planner("khm_wiki@20260901", "xml.bz2", "khm", seed, scale)
    khm_wiki.good(110, "wiki")
    khm_wiki.junk(Kind.NOT_AN_ARTICLE, 14, lambda rng, lang: title(rng, lang))
    first_web = _Planner("khm_web@20260901", "warc.wet.gz", "khm", seed, scale)
    web_originals = first_web.good(110, "web")
    first_web.near_copies(originals, 24)
    first_web.wrong_encodings(originals, 24)
    first_web.exact_copies(originals, 12)
    first_web.boilerplate(16)
    first_web.junk(Kind.MIXED, 10, lambda rng, _: junk.mixed_page(rng))
    first_web.junk(Kind.LEGACY_FONT, 8, lambda rng, _: junk.legacy_font_page(rng))
    second_web = _Planner("khm_web@20261001", "jsonl.zst", "khm", seed, scale)
    second_web.good(70, "web")
    second_web.exact_copies(web_originals, 50, same_url=True)
    second_web.near_copies(web_originals, 24)
    second_web.wrong_encodings(web_originals, 16)
    second_web.junk(Kind.MIXED, 6, lambda rng, _: junk.mixed_page(rng))
    blog = _Planner("khm_blog@20260901", "jsonl.gz", "khm", seed, scale)
    blog.good(50, "book")
    dumps = [khm_news, khm_wiki, first_web, second_web, blog, _junk("khm", "jsonl", seed, scale)]
    dumps += _english(seed, scale)
    return [planner.finish() for planner in dumps]


def _english(seed: int, scale: float) -> list[_Planner]:
    news = _Planner("eng_news@20260901", "parquet", "eng", seed, scale)
    originals = news.good(180, "news")
    news.exact_copies(originals, 8)
    news.junk(Kind.TINY, 6, junk.tiny_document)
    news.broken(3, ("text_null",))
    books = _Planner("eng_books@20260901", "txt", "eng", seed, scale)
    books.good(30, "book", num_paragraphs=14)
    web = _Planner("eng_web@20260901", "csv.gz", "eng", seed, scale)
    web.good(160, "web")
    web.near_copies(originals, 32)
    web.exact_copies(originals, 16)
    web.boilerplate(16)
    return [news, books, web, _junk("eng", "jsonl.xz", seed, scale)]


def _junk(lang: Lang, extension: str, seed: int, scale: float) -> _Planner:
    dump = _Planner(f"{lang}_junk@20260901", extension, lang, seed, scale)
    dump.good(8, "web")
    dump.boilerplate(14)
    dump.junk(Kind.UI_STRING, 24, lambda rng, lang: junk.ui_strings(rng, lang, rng.randrange(20, 60)))
    dump.junk(Kind.TINY, 10, junk.tiny_document)
    if lang == "khm":
        dump.junk(Kind.LEGACY_FONT, 16, lambda rng, _: junk.legacy_font_page(rng))
    dump.broken(len(BROKEN_JSON) * 2, BROKEN_JSON)
    return dump


class _Planner:
    """Gathers the rows of one dump."""

    def __init__(self, dump: str, extension: str, lang: Lang, seed: int, scale: float) -> None:
        self._dump = dump
        self._file = f"{dump}.{extension}"
        self._lang: Lang = lang
        self._scale = scale
        self._rng = Random(f"{seed}/{dump}")
        self._rows: list[PlannedRow] = []

    def finish(self) -> PlannedDump:
        """Shuffle the rows and number them."""
        rows = self._rng.sample(self._rows, len(self._rows))
        numbered = (replace(row, truth=replace(row.truth, row=number)) for number, row in enumerate(rows))
        return PlannedDump(self._dump, self._file, tuple(numbered))

    def good(self, num: int, genre: Genre, num_paragraphs: int | None = None) -> list[PlannedRow]:
        """Plant originals; return them, for others to copy."""
        rows = []
        for _ in range(self._scaled(num)):
            topic = self._rng.choice(TOPICS)
            length = num_paragraphs or self._rng.randrange(MIN_PARAGRAPHS, 8)
            text = document(self._rng, self._lang, topic, length, genre)
            rows.append(self._add(Kind.GOOD, text, topic=topic, title=title(self._rng, self._lang, topic)))
        return rows

    def exact_copies(self, originals: Sequence[PlannedRow], num: int, *, same_url: bool = False) -> None:
        """Plant copies to the character; of one original there may be several."""
        for _ in range(self._scaled(num)):
            original = self._rng.choice(originals)
            url = original.truth.url if same_url else ""
            self._copy(Kind.EXACT_COPY, original, original.text, 1.0, url=url)

    def near_copies(self, originals: Sequence[PlannedRow], num: int) -> None:
        """Plant edited copies, each of another original, at the wished likenesses in turn."""
        chosen = self._rng.sample(originals, min(self._scaled(num), len(originals)))
        for number, original in enumerate(chosen):
            text, likeness = near_copy(original.text, self._rng, NEAR_JACCARDS[number % len(NEAR_JACCARDS)])
            self._copy(Kind.NEAR_COPY, original, text, likeness)

    def wrong_encodings(self, originals: Sequence[PlannedRow], num: int) -> None:
        """Plant copies in wrong code-point order, from lightly to heavily wrong."""
        for original in self._rng.sample(originals, min(self._scaled(num), len(originals))):
            text = wrong_encoding(
                original.text,
                self._rng,
                defect_frac=self._rng.choice((0.05, 0.2, 0.6)),
                zwsp_frac=self._rng.choice((0.0, 0.05, 0.3)),
            )
            self._copy(Kind.WRONG_ENCODING, original, text, 1.0, raw_jaccard=jaccard(text, original.text))

    def boilerplate(self, num: int) -> None:
        """Plant pages of navigation, several a site."""
        sites = [f"{self._dump.partition('@')[0].replace('_', '-')}{number}.example" for number in range(4)]
        self.junk(
            Kind.BOILERPLATE, num, lambda rng, lang: junk.boilerplate_page(rng, lang, rng.choice(sites))
        )

    def junk(self, kind: Kind, num: int, write: Callable[[Random, Lang], str]) -> None:
        """Plant junk of one kind."""
        for _ in range(self._scaled(num)):
            self._add(kind, write(self._rng, self._lang), lang="mixed" if kind is Kind.MIXED else self._lang)

    def broken(self, num: int, sorts: Sequence[str]) -> None:
        """Plant rows that are no documents, of each sort in turn."""
        for number in range(max(len(sorts), self._scaled(num))):
            row = self._add(Kind.BROKEN_ROW, "", detail=sorts[number % len(sorts)])
            line = broken_json(self._rng, row.truth.detail, row.truth.id)
            self._rows[-1] = replace(row, line=line)

    def _copy(self, kind: Kind, original: PlannedRow, text: str, likeness: float, **more: object) -> None:
        truth = original.truth
        fields = {"raw_jaccard": likeness, "title": truth.title, "topic": truth.topic, **more}
        self._add(kind, text, copy_of=truth.id, jaccard=likeness, **fields)

    def _add(self, kind: Kind, text: str, **fields: object) -> PlannedRow:
        source, _, date = self._dump.partition("@")
        document_id = f"{source}-{date}-{len(self._rows):05d}"
        truth = PlantedDocument(
            **{
                "id": document_id,
                "dump": self._dump,
                "file": self._file,
                "row": -1,
                "kind": kind,
                "lang": self._lang,
                **fields,
                "url": fields.get("url") or f"https://{source.replace('_', '-')}.example/{document_id}",
            }
        )
        row = PlannedRow(truth, text)
        self._rows.append(row)
        return row

    def _scaled(self, num: int) -> int:
        return max(_MIN_ROWS, round(num * self._scale))
