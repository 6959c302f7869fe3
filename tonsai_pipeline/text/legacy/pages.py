"""Pages with legacy text -> the same converted, each by the table that its fonts name or that fits it best, or refused.

sheets ──codes of one family──▶ trials ──convert, score with one table or with all──▶ ──gate──▶ sheets with texts, or a reason
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from tonsai_pipeline.text.legacy.convert import convert_batch
from tonsai_pipeline.text.legacy.font_tables import FontTable, shipped_tables
from tonsai_pipeline.text.legacy.guess import guess_tables
from tonsai_pipeline.text.legacy.pieces import UNKNOWN, Piece
from tonsai_pipeline.text.legacy.score import Gate, Scores, score_batch
from tonsai_pipeline.text.utf8 import batch_of_arrow

#: A page may hold so much text of a family without a table; that text is left out.
_MAX_STRAY_FRAC = 0.02
#: Where the counts of codes speak so clearly for a table and its text passes, no other one is tried (nats).
_CLEAR_LEAD = 20.0
#: Stands between the pieces of a page while they are converted together; no text keeps it.
_BETWEEN = "\x1e"


@dataclass
class Sheet:
    """A page on its way.

    Args:
        document: Which document it is of.
        number: From 1.
        pieces: Its text.
        converted: By family, what its pieces became.
        reason: Why it is refused, None if it passes.
        scores: Of the family with most clusters; None if it has no legacy text.
        counts: Of `syllables`, likewise.
    """

    document: int
    number: int
    pieces: list[Piece]
    converted: dict[str, list[str]] = field(default_factory=dict)
    reason: str | None = None
    scores: Scores | None = None
    counts: Sequence[int] = (0, 0, 0, 0)


class _Result(NamedTuple):
    number: int  # of the table
    text: str
    scores: Scores
    counts: list[int]


@dataclass
class _Trial:
    """The pieces of one family on one page, and what they became with each table that was tried."""

    sheet: Sheet
    family: str
    codes: str
    results: list[_Result] = field(default_factory=list)

    def best(self, usual: str | None) -> tuple[_Result | None, Scores | None]:
        """Return the result that fits best, and the scores of the next; `usual` is the family where that is known."""
        tried = sorted(self.results, key=lambda one: (-one.scores.total, one.number))
        if self.family != UNKNOWN:
            return (tried[0] if tried else None), None
        if usual is not None:
            tried = [one for one in tried if one.scores.family == usual]
        return tried[0], (tried[1].scores if len(tried) > 1 else None)

    def is_refused(self, gate: Gate) -> bool:
        """Tell whether the one result would be refused, were it known to be of its family."""
        (scores,) = (one.scores for one in self.results)
        return scores.num_clusters < gate.min_clusters or gate.reason(scores, None) is not None


def all_tables(tables: Sequence[FontTable]) -> list[FontTable]:
    """Return the user's tables and the shipped ones of other families."""
    own = {table.family for table in tables}
    return [*tables, *(table for table in shipped_tables() if table.family not in own)]


def score_families(text: str, tables: Sequence[FontTable] = ()) -> list[Scores]:
    """Convert a text with every table; return the scores, the best family first."""
    texts = pa.array([text], pa.large_string())
    scores = [
        score_batch(*convert_batch(texts, table), table.family)[1][0]
        for table in all_tables(tables)
    ]
    return sorted(scores, key=lambda one: -one.total)


def convert_sheets(sheets: Sequence[Sheet], tables: Sequence[FontTable], gate: Gate) -> None:
    """Convert every page and judge it; a page too short to tell its family is of that of its document's other pages."""
    by_sheet = [_trials(sheet) for sheet in sheets]
    _try_tables([trial for trials in by_sheet for trial in trials], tables, gate)
    usual: dict[int, Counter[str]] = {}
    for sheet, trials in zip(sheets, by_sheet, strict=True):
        _judge(sheet, trials, gate, None)
        if sheet.reason is None and sheet.scores is not None:
            usual.setdefault(sheet.document, Counter())[sheet.scores.family] += 1
    for sheet, trials in zip(sheets, by_sheet, strict=True):
        if sheet.reason in ("legacy_too_short", "legacy_family_unclear") and (
            families := usual.get(sheet.document)
        ):
            _judge(sheet, trials, gate, families.most_common(1)[0][0])


def _trials(sheet: Sheet) -> list[_Trial]:
    texts: dict[str, list[str]] = {}
    for piece in sheet.pieces:
        if piece.family is not None:
            texts.setdefault(piece.family, []).append(piece.text.replace(_BETWEEN, " "))
    return [_Trial(sheet, family, _BETWEEN.join(own)) for family, own in texts.items()]


def _try_tables(trials: Sequence[_Trial], tables: Sequence[FontTable], gate: Gate) -> None:
    """Convert each trial with the table of its family, or the likeliest one; with all where that leaves a doubt."""
    unknown = [trial for trial in trials if trial.family == UNKNOWN]
    batch = batch_of_arrow(pa.array([trial.codes for trial in unknown], pa.large_string()))
    likeliest, leads = guess_tables(batch, tables)
    guessed = {
        id(trial): tables[best].family for trial, best in zip(unknown, likeliest, strict=True)
    }
    for number, table in enumerate(tables):
        own = [t for t in trials if guessed.get(id(t), t.family) == table.family]
        _convert(number, table, own)
    doubtful = [
        trial
        for trial, lead in zip(unknown, leads, strict=True)
        if lead < _CLEAR_LEAD or trial.is_refused(gate)
    ]
    for number, table in enumerate(tables):
        _convert(number, table, [t for t in doubtful if guessed[id(t)] != table.family])


def _convert(number: int, table: FontTable, trials: Sequence[_Trial]) -> None:
    texts = pa.array([trial.codes for trial in trials], pa.large_string())
    raw, counts = convert_batch(texts, table)
    done, scores = score_batch(raw, counts, table.family)
    found = zip(trials, done.to_pylist(), scores, counts.tolist(), strict=True)
    for trial, text, score, count in found:
        trial.results.append(_Result(number, text, score, count))


def _judge(sheet: Sheet, trials: Sequence[_Trial], gate: Gate, usual: str | None) -> None:
    """Choose each family's best conversion, and pass or refuse the page."""
    sheet.converted, sheet.reason, sheet.scores = {}, None, None
    total = sum(len(trial.codes) for trial in trials)
    for trial in trials:
        best, second = trial.best(usual)
        if best is None:
            if len(trial.codes) > _MAX_STRAY_FRAC * total:
                sheet.reason = sheet.reason or "legacy_no_table"
                sheet.scores = sheet.scores or Scores(trial.family, 0, 0.0, 0.0, 0.0)
            continue
        reason = gate.reason(best.scores, second) if best.scores.num_clusters else None
        sheet.reason = sheet.reason or reason
        if sheet.scores is None or best.scores.num_clusters > sheet.scores.num_clusters:
            sheet.scores, sheet.counts = best.scores, best.counts
        sheet.converted[trial.family] = best.text.split(_BETWEEN)
