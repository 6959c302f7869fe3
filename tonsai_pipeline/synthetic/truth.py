"""planted documents <-> truth.jsonl: what is in the synthetic dumps, and what should become of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

TRUTH_FILE = "truth.jsonl"


class Kind(StrEnum):
    """What a planted document is."""

    GOOD = "good"
    """An original worth training on."""
    EXACT_COPY = "exact_copy"
    """The same text as `copy_of`, to the character."""
    NEAR_COPY = "near_copy"
    """`copy_of` edited; `jaccard` is the exact likeness of the two."""
    WRONG_ENCODING = "wrong_encoding"
    """`copy_of` in wrong code-point order: the same text once normalized; `raw_jaccard` is their likeness before."""
    BOILERPLATE = "boilerplate"
    """Navigation, teasers, footers."""
    UI_STRING = "ui_string"
    """Menus and dialogs of a program."""
    LEGACY_FONT = "legacy_font"
    """Khmer as a pre-Unicode font stored it: Latin-looking garbage."""
    MIXED = "mixed"
    """Khmer and English paragraphs by turns."""
    TINY = "tiny"
    """A headline and no more."""
    BROKEN_ROW = "broken_row"
    """A row that is no document; `detail` says how it is broken."""
    TRUNCATED = "truncated"
    """A document lost behind the place where its file was cut off."""
    NOT_AN_ARTICLE = "not_an_article"
    """A redirect or a talk page of a wiki: a page, but no document."""


@dataclass(frozen=True, slots=True)
class PlantedDocument:
    """One record of truth.jsonl.

    Attributes:
        id: Unique in the corpus; the `id` field where the format has fields, else part of the url.
        dump: Name of the dump, ``<source>@<date>``.
        file: File name.
        row: Position of the record in its file, from 0, broken ones included. Lines of JSONL, rows of Parquet, records of
            CSV behind the header, blank-line separated blocks of text, pages of a wiki, records of a WET file (warcinfo is row 0).
        kind: What it is.
        lang: ``khm``, ``eng`` or ``mixed``.
        url: Where it pretends to come from; empty in plain text.
        title: Its headline; empty where the format has none.
        topic: Key of its topic; empty for junk.
        copy_of: Id of the original, empty for originals.
        jaccard: Exact likeness to the original once both are normalized; 0 for originals.
        raw_jaccard: The same before normalization, for wrong encodings; else equal to `jaccard`.
        detail: How a broken row is broken; empty otherwise.
    """

    id: str
    dump: str
    file: str
    row: int
    kind: Kind
    lang: str
    url: str = ""
    title: str = ""
    topic: str = ""
    copy_of: str = ""
    jaccard: float = 0.0
    raw_jaccard: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class SyntheticTruth:
    """Everything that was planted, in the order of dumps and rows."""

    documents: tuple[PlantedDocument, ...]

    def __iter__(self) -> Iterator[PlantedDocument]:
        return iter(self.documents)

    def __len__(self) -> int:
        return len(self.documents)

    def of_kind(self, *kinds: Kind | str) -> list[PlantedDocument]:
        """Return the documents of one or more kinds."""
        return [document for document in self.documents if document.kind in kinds]

    def in_dump(self, dump: str) -> list[PlantedDocument]:
        """Return the documents of one dump, by row."""
        return [document for document in self.documents if document.dump == dump]

    def by_id(self, document_id: str) -> PlantedDocument:
        """Return one document.

        Raises:
            KeyError: No document has that id.
        """
        return self._by_id[document_id]

    def at(self, file: str, row: int) -> PlantedDocument:
        """Return what stands at one row of a file.

        Raises:
            KeyError: Nothing was planted there.
        """
        return self._by_place[file, row]

    def original_of(self, document: PlantedDocument) -> PlantedDocument:
        """Return the original of a copy, or the document itself if it is one."""
        return self.by_id(document.copy_of) if document.copy_of else document

    def duplicate_groups(self, min_jaccard: float = 0.0) -> dict[str, list[str]]:
        """Return each copied original's id with the ids of its copies of at least a likeness."""
        groups: dict[str, list[str]] = {}
        for document in self.documents:
            if document.copy_of and document.jaccard >= min_jaccard:
                groups.setdefault(document.copy_of, []).append(document.id)
        return groups

    @property
    def dumps(self) -> tuple[str, ...]:
        """Names of the dumps, in the order they were written."""
        return tuple(dict.fromkeys(document.dump for document in self.documents))

    def counts(self) -> Counter[str]:
        """Return how many documents there are of each kind."""
        return Counter(str(document.kind) for document in self.documents)

    def write(self, path: Path) -> None:
        """Write truth.jsonl, one document a line."""
        lines = (json.dumps(asdict(document), ensure_ascii=False) for document in self.documents)
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> SyntheticTruth:
        """Read a truth.jsonl.

        Raises:
            ValueError: A line does not hold a planted document.
        """
        documents = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            try:
                fields = json.loads(line)
                documents.append(PlantedDocument(**{**fields, "kind": Kind(fields["kind"])}))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path} line {number + 1} is no planted document: {error}"
                ) from error
        return cls(tuple(documents))

    @cached_property
    def _by_id(self) -> dict[str, PlantedDocument]:
        return {document.id: document for document in self.documents}

    @cached_property
    def _by_place(self) -> dict[tuple[str, int], PlantedDocument]:
        return {(document.file, document.row): document for document in self.documents}
