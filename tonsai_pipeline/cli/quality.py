"""`tonsai quality`: files in -> what the quality rules would keep of them and why not the rest; or two recipes compared."""

from __future__ import annotations

import html
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tonsai_pipeline.quality.verdicts import Verdict
    from tonsai_pipeline.recipe import Recipe

_BATCH_BYTES = 8 << 20
_WIDTH = 110
_STYLE = (
    "body{max-width:60rem;margin:2rem auto;font:1rem/1.6 sans-serif}"
    "pre{white-space:pre-wrap;background:#f4f4f4;padding:.6rem}mark{background:#fd8}"
)


class KindName(StrEnum):
    """Kinds of sources (`recipe.sources.Kind`)."""

    PROSE = "prose"
    SENTENCES = "sentences"
    LEXICON = "lexicon"
    VERSE = "verse"
    DIALOGUE = "dialogue"
    HEADLINES = "headlines"


class Side(StrEnum):
    """Which documents a filter writes."""

    ALL = "all"
    KEPT = "kept"
    DROPPED = "dropped"


def quality(
    files: Annotated[
        list[str], typer.Argument(help="Files or folders, of any format that a dump may have.")
    ],
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="Recipe whose limits hold.")
    ] = "demo",
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", help="Two recipes: what one would keep and the other would not."),
    ] = None,
    kind: Annotated[
        KindName, typer.Option("--kind", help="What the documents are.")
    ] = KindName.PROSE,
    lang: Annotated[
        str | None, typer.Option("--lang", help="khm or eng: another language is a reason to drop.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="As a filter: a JSON line for each document.")
    ] = False,
    only: Annotated[Side, typer.Option("--only", help="Documents that --json writes.")] = Side.ALL,
    examples: Annotated[int, typer.Option("--examples", "-n", min=0, help="Of each reason.")] = 3,
    page: Annotated[
        Path | None, typer.Option("--page", help="Write the reasons and examples as a web page.")
    ] = None,
    max_documents: Annotated[int, typer.Option("--max-documents", min=1)] = 100_000,
    text_column: Annotated[
        str, typer.Option("--field", help="Field that holds the text.")
    ] = "text",
) -> None:
    """Look at text before it becomes a source: what would be kept, what dropped, why, and where in the text.

    Duplicates, classifiers and word lists are not asked. The score is that of the form alone.

    Examples: `tonsai quality dictionary.jsonl --kind lexicon`, `tonsai quality crawl/ --json --only dropped > dropped.jsonl`,
    `tonsai quality crawl/ --compare old.yaml new.yaml`, `tonsai quality khm/ --examples 30 --page reasons.html`
    """
    from tonsai_pipeline.recipe import load_recipe

    documents = _documents(files, text_column, max_documents)
    if compare is not None:
        _compare(documents, [load_recipe(name) for name in compare], compare, kind, lang, examples)
        return
    tally = _Tally(examples)
    for name, row, verdict in _judged(documents, load_recipe(recipe), kind, lang):
        tally.count(name, row, verdict)
        if as_json and only in (Side.ALL, Side.DROPPED if verdict.reasons else Side.KEPT):
            typer.echo(json.dumps(_record(name, row, verdict), ensure_ascii=False))
    if page is not None:
        page.write_text(tally.page(", ".join(files)), encoding="utf-8")
    if not as_json:
        tally.show(typer.echo)


# --- reading and judging ------------------------------------------------------------------------


def _documents(
    files: list[str], text_column: str, max_documents: int
) -> Iterator[list[tuple[str, int, str]]]:
    """Yield batches of (file, row, text); rows that cannot be read are told on standard error."""
    from tonsai_pipeline.errors import DumpError
    from tonsai_pipeline.storage.dumps.locations import expand_path
    from tonsai_pipeline.storage.dumps.read import read_dump_file
    from tonsai_pipeline.storage.dumps.records import RawRecord

    batch: list[tuple[str, int, str]] = []
    size = num = 0
    for pattern in files:
        problems: list[str] = []
        locations = expand_path(pattern, Path.cwd(), problems)
        for problem in problems:
            typer.echo(problem, err=True)
        if not locations:
            raise DumpError(f"{pattern}: no file that a dump could be made of")
        for location in locations:
            bad: Counter[str] = Counter()
            for record in read_dump_file(location, text_column=text_column):
                if not isinstance(record, RawRecord):
                    bad[record.reason] += 1
                    continue
                if num == max_documents:
                    break
                num += 1
                batch.append((Path(location).name, record.row, record.text))
                size += len(record.text)
                if size > _BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
            for reason, count in bad.items():
                typer.echo(f"{location}: {count} rows cannot be read: {reason}", err=True)
    if batch:
        yield batch


def _judged(
    documents: Iterator[list[tuple[str, int, str]]],
    recipe: Recipe,
    kind: KindName,
    lang: str | None,
) -> Iterator[tuple[str, int, Verdict]]:
    import pyarrow as pa

    from tonsai_pipeline.quality.verdicts import judge_texts

    for batch in documents:
        texts = pa.array([text for _, _, text in batch], pa.large_string())
        limits, options = _limits(recipe, kind), recipe.normalize.options()
        verdicts = judge_texts(texts, limits, options=options, language=lang)
        for (name, row, _), verdict in zip(batch, verdicts, strict=True):
            yield name, row, verdict


def _limits(recipe: Recipe, kind: KindName) -> dict[str, Any]:
    from tonsai_pipeline.quality.rules import Limits

    return {code: Limits.of(recipe.quality.of(code, kind.value)) for code in ("khm", "eng")}


def _record(name: str, row: int, verdict: Verdict) -> dict[str, Any]:
    from tonsai_pipeline.quality.verdicts import spans_of

    return {
        "file": name,
        "row": row,
        "verdict": "drop" if verdict.reasons else "keep",
        "score": round(verdict.score, 4),
        "language": verdict.language,
        "reasons": verdict.reasons,
        "spans": {
            reason: found for reason in verdict.reasons if (found := spans_of(verdict.text, reason))
        },
        "num_cut_lines": verdict.num_cut_lines,
        "text": verdict.text,
    }


# --- showing ------------------------------------------------------------------------------------


class _Tally:
    """Counts and the first examples of each reason, spread by a stride that doubles."""

    def __init__(self, num_examples: int) -> None:
        self.num_examples = num_examples
        self.documents: Counter[str] = Counter()
        self.num_bytes: Counter[str] = Counter()
        self.scores: dict[str, list[float]] = defaultdict(list)
        self.samples: dict[str, list[tuple[str, int, Verdict]]] = defaultdict(list)

    def count(self, name: str, row: int, verdict: Verdict) -> None:
        reason = verdict.reasons[0] if verdict.reasons else "kept"
        self.documents[reason] += 1
        self.num_bytes[reason] += len(verdict.text.encode())
        self.scores[reason].append(verdict.score)
        # Every 1st, 2nd, 4th, ... document of a reason: examples from all over the files, in bounded memory.
        held = self.samples[reason]
        if self.num_examples and self.documents[reason] % self._stride(reason) == 0:
            held.append((name, row, verdict))
            if len(held) > 2 * self.num_examples:
                del held[::2]

    def _stride(self, reason: str) -> int:
        stride = 1
        while self.documents[reason] > 4 * self.num_examples * stride:
            stride *= 2
        return stride

    def show(self, say: Callable[[str], Any]) -> None:
        total, total_bytes = sum(self.documents.values()), sum(self.num_bytes.values())
        say(f"{total:,} documents, {total_bytes / 1e6:.2f} MB")
        say(f"{'':26} {'documents':>10} {'%':>6} {'% bytes':>8}  score p10 / p50 / p90")
        for reason, count in self._ordered():
            scores = sorted(self.scores[reason])
            low, middle, high = (scores[int(q * (len(scores) - 1))] for q in (0.1, 0.5, 0.9))
            share, of_bytes = (
                100 * count / total,
                100 * self.num_bytes[reason] / max(total_bytes, 1),
            )
            say(
                f"{reason:26} {count:10,} {share:6.1f} {of_bytes:8.1f}  {low:.2f} / {middle:.2f} / {high:.2f}"
            )
        for reason, _ in self._ordered():
            for name, row, verdict in self.samples[reason][: self.num_examples]:
                say(
                    f"\n{reason}  {name}:{row}  score {verdict.score:.2f}  {', '.join(verdict.reasons[1:])}".rstrip()
                )
                say(f"  {_one_line(verdict.text)}")

    def page(self, title: str) -> str:
        """Return a web page that a reader of Khmer can judge: every reason, and its examples whole."""
        parts = [
            f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f"<h1>{html.escape(title)}</h1>",
        ]
        for reason, count in self._ordered():
            parts.append(f"<h2>{reason} ({count:,})</h2>")
            for name, row, verdict in self.samples[reason][: self.num_examples]:
                score = f"{verdict.score:.2f}"
                head = " · ".join((f"{name}:{row}", verdict.language, score, *verdict.reasons))
                parts.append(
                    f"<p>{html.escape(head)}</p><pre>{_marked(verdict.text, reason)}</pre>"
                )
        return "\n".join(parts)

    def _ordered(self) -> list[tuple[str, int]]:
        return sorted(
            self.documents.items(), key=lambda item: (item[0] != "kept", -item[1], item[0])
        )


def _compare(
    documents: Iterator[list[tuple[str, int, str]]],
    recipes: list[Recipe],
    names: tuple[str, str],
    kind: KindName,
    lang: str | None,
    num_examples: int,
) -> None:
    """Print what both, one and none of two recipes would keep."""
    counts: Counter[tuple[bool, bool]] = Counter()
    num_bytes: Counter[tuple[bool, bool]] = Counter()
    samples: dict[tuple[bool, bool], list[str]] = defaultdict(list)
    for batch in documents:
        sides = [list(_judged(iter([batch]), recipe, kind, lang)) for recipe in recipes]
        for (name, row, one), (_, _, other) in zip(*sides, strict=True):
            key = (not one.reasons, not other.reasons)
            counts[key] += 1
            num_bytes[key] += len(one.text.encode())
            if key[0] != key[1] and len(samples[key]) < num_examples:
                reason = (one.reasons or other.reasons)[0]
                samples[key].append(f"{name}:{row}  {reason}\n  {_one_line(one.text)}")
    total = max(sum(num_bytes.values()), 1)
    labels = {
        (True, True): "kept by both",
        (True, False): f"only by {names[0]}",
        (False, True): f"only by {names[1]}",
        (False, False): "by neither",
    }
    for key, label in labels.items():
        typer.echo(
            f"{label:40} {counts[key]:10,} documents {100 * num_bytes[key] / total:6.1f} % of bytes"
        )
    for key in ((True, False), (False, True)):
        for sample in samples[key]:
            typer.echo(f"\n{labels[key]}: {sample}")


def _one_line(text: str) -> str:
    flat = " \u23ce ".join(text.split("\n"))
    return flat if len(flat) <= _WIDTH else f"{flat[: _WIDTH - 30]} … {flat[-27:]}"


def _marked(text: str, reason: str) -> str:
    """Return the text as HTML, with the places of the reason marked."""
    from tonsai_pipeline.quality.verdicts import spans_of

    out, at = [], 0
    for start, end in spans_of(text, reason):
        out += [html.escape(text[at:start]), "<mark>", html.escape(text[start:end]), "</mark>"]
        at = end
    return "".join(out) + html.escape(text[at:])
