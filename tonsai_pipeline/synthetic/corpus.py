"""seed, scale -> every dump of the synthetic corpus as rows: text, and the truth about it.

Each dump has a random generator of its own, seeded with its name, so a change to one leaves the others as they were. Copies point
backwards: to a dump planned earlier or to an earlier row of the same plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from tonsai_pipeline.synthetic import junk
from tonsai_pipeline.synthetic.broken_rows import BROKEN_JSON, broken_json
from tonsai_pipeline.synthetic.grammar import TOPICS, Genre, Lang, document, headline
from tonsai_pipeline.synthetic.likeness import jaccard
from tonsai_pipeline.synthetic.near_copies import near_copy
from tonsai_pipeline.synthetic.truth import Kind, PlantedDocument
from tonsai_pipeline.synthetic.wrong_encoding import wrong_encoding

#: Target likenesses of near copies, dealt in turn: both sides of any threshold a person would choose.
NEAR_JACCARDS = (0.9, 0.6, 0.8, 0.4, 0.95, 0.7, 0.85, 0.5)

#: Originals have at least this many paragraphs: some 250 shingles, so that a near copy can land close to its target.
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
    """Plan the whole corpus.

    Args:
        seed: Same seed and scale, same plan.
        scale: Number of documents, relative to about 4 MB of text. However small, each kind is planted three times or more.

    Raises:
        ValueError: `scale` is not positive.
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, not {scale}")
    planners = [*_khmer(seed, scale), *_english(seed, scale)]
    return [planner.finish() for planner in planners]


def _khmer(seed: int, scale: float) -> list[_Planner]:
    news = _Planner("khm_news@20260901", "jsonl.gz", "khm", seed, scale)
    originals = news.good(150, "news")
    news.exact_copies(originals, 6)
    news.junk(Kind.TINY, 8, junk.tiny_document)
    wiki = _Planner("khm_wiki@20260901", "xml.bz2", "khm", seed, scale)
    wiki.good(110, "wiki")
    wiki.junk(Kind.NOT_AN_ARTICLE, 14, headline)
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
    # This dump is cut off at 70 %: ten leave a few on either side.
    blog.good(50, "book", min_num=10)
    return [news, wiki, first_web, second_web, blog, _junk("khm", "jsonl", seed, scale)]


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
    dump.junk(
        Kind.UI_STRING, 24, lambda rng, lang: junk.ui_strings(rng, lang, rng.randrange(20, 60))
    )
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
        # A WET file opens with a record about itself.
        first = 1 if self._file.endswith(".wet.gz") else 0
        numbered = (
            replace(row, truth=replace(row.truth, row=number))
            for number, row in enumerate(rows, first)
        )
        return PlannedDump(self._dump, self._file, tuple(numbered))

    def good(
        self, num: int, genre: Genre, *, num_paragraphs: int | None = None, min_num: int = 0
    ) -> list[PlannedRow]:
        """Plant originals, `min_num` of them however small the scale; return them, for others to copy."""
        rows = []
        for _ in range(max(min_num, self._scaled(num))):
            topic = self._rng.choice(TOPICS)
            length = num_paragraphs or self._rng.randrange(MIN_PARAGRAPHS, 8)
            text = document(self._rng, self._lang, topic, length, genre)
            rows.append(
                self._add(
                    Kind.GOOD, text, topic=topic, title=headline(self._rng, self._lang, topic)
                )
            )
        return rows

    def exact_copies(
        self, originals: Sequence[PlannedRow], num: int, *, same_url: bool = False
    ) -> None:
        """Plant copies to the character; of one original there may be several."""
        for _ in range(self._scaled(num)):
            original = self._rng.choice(originals)
            url = original.truth.url if same_url else ""
            self._copy(Kind.EXACT_COPY, original, original.text, 1.0, url=url)

    def near_copies(self, originals: Sequence[PlannedRow], num: int) -> None:
        """Plant edited copies, each of another original, at the target likenesses in turn."""
        chosen = self._rng.sample(originals, min(self._scaled(num), len(originals)))
        for number, original in enumerate(chosen, start=self._rng.randrange(len(NEAR_JACCARDS))):
            text, likeness = near_copy(
                original.text, self._rng, NEAR_JACCARDS[number % len(NEAR_JACCARDS)]
            )
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
            self._copy(Kind.WRONG_ENCODING, original, text, 1.0, raw=jaccard(text, original.text))

    def boilerplate(self, num: int) -> None:
        """Plant pages of navigation, several a site."""
        sites = [
            f"{self._dump.partition('@')[0].replace('_', '-')}{number}.example"
            for number in range(4)
        ]
        self.junk(
            Kind.BOILERPLATE,
            num,
            lambda rng, lang: junk.boilerplate_page(rng, lang, rng.choice(sites)),
        )

    def junk(self, kind: Kind, num: int, write: Callable[[Random, Lang], str]) -> None:
        """Plant junk of one kind."""
        for _ in range(self._scaled(num)):
            self._add(
                kind,
                write(self._rng, self._lang),
                lang="mixed" if kind is Kind.MIXED else self._lang,
            )

    def broken(self, num: int, sorts: Sequence[str]) -> None:
        """Plant rows that are no documents, of each sort in turn."""
        for number in range(max(len(sorts), self._scaled(num))):
            row = self._add(Kind.BROKEN_ROW, "")
            sort = sorts[number % len(sorts)]
            line = broken_json(self._rng, sort, row.truth.id)
            self._rows[-1] = replace(row, truth=replace(row.truth, detail=sort), line=line)

    def _copy(
        self,
        kind: Kind,
        original: PlannedRow,
        text: str,
        likeness: float,
        *,
        raw: float | None = None,
        url: str = "",
    ) -> None:
        row = self._add(kind, text, topic=original.truth.topic, title=original.truth.title)
        truth = replace(
            row.truth,
            url=url or row.truth.url,
            copy_of=original.truth.id,
            jaccard=likeness,
            raw_jaccard=likeness if raw is None else raw,
        )
        self._rows[-1] = replace(row, truth=truth)

    def _add(
        self, kind: Kind, text: str, *, lang: str = "", topic: str = "", title: str = ""
    ) -> PlannedRow:
        source, _, date = self._dump.partition("@")
        document_id = f"{source}-{date}-{len(self._rows):05d}"
        truth = PlantedDocument(
            id=document_id,
            dump=self._dump,
            file=self._file,
            row=-1,
            kind=kind,
            lang=lang or self._lang,
            url=f"https://{source.replace('_', '-')}.example/{document_id}",
            title=title,
            topic=topic,
        )
        row = PlannedRow(truth, text)
        self._rows.append(row)
        return row

    def _scaled(self, num: int) -> int:
        return max(_MIN_ROWS, round(num * self._scale))
