"""Survey and choice -> a recipe in YAML, each line with its reason as a comment."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from tonsai_pipeline.cli.init.base import Base, tokenizer_lines
from tonsai_pipeline.cli.init.model import BYTES_PER_TOKEN, MAX_EPOCHS, Choice, Machine
from tonsai_pipeline.cli.init.sources import SourceProposal, Survey
from tonsai_pipeline.cli.init.words import comment, plain_number, quoted, size

#: An evaluation set is held in memory as an index; a larger one is only named.
_MAX_EVALUATION_BYTES = 50 << 20
_MAX_NAMED, _MAX_HELD_OUT_NAMED = 12, 40
_MIN_CLASSIFIER_BYTES = 200_000
#: Kinds whose documents are no pages: they teach a classifier nothing about pages.
_SHORT_KINDS = ("sentences", "headlines", "lexicon")
_LOOKS = {
    "sentences": "three in ten and more are shorter than a page's 17 words",
    "headlines": "short lines that end in no mark",
    "lexicon": "short entries full of brackets and abbreviations",
}
_LANGUAGE_NAMES = {"khm": "Khmer", "eng": "English"}


def write_recipe(
    survey: Survey,
    choice: Choice,
    machine: Machine,
    *,
    name: str,
    base: Base | None,
    data_folder: Path,
    recipe_folder: Path,
) -> str:
    """Write the recipe.

    Args:
        survey: What the folder holds.
        choice: Model and training that fit.
        machine: Where it was chosen for.
        name: Name of the recipe.
        base: Model to go on from; None to train a new one.
        data_folder: Where relative paths of sources start; files elsewhere are written with whole paths.
        recipe_folder: Where the recipe will lie; relative paths of evaluation sets start there.
    """
    writer = _Writer(survey, choice, machine, name, base, data_folder, recipe_folder)
    return "\n".join(writer.lines()) + "\n"


@dataclass(frozen=True)
class _Writer:
    """The recipe, section by section."""

    survey: Survey
    choice: Choice
    machine: Machine
    name: str
    base: Base | None
    data_folder: Path
    recipe_folder: Path

    @cached_property
    def pair(self) -> list[SourceProposal]:
        """Two evaluation sets that are translations of each other, or none."""
        return _parallel(self.survey.held_out)

    def lines(self) -> Iterator[str]:
        yield from self._head()
        yield from self._sources()
        yield from self._left_out()
        yield from self._dedup()
        yield from self._quality()
        yield from self._mixture()
        yield from self._tokenizer()
        yield from self._model()
        yield from self._train()

    def _head(self) -> Iterator[str]:
        yield f"# Written by `tonsai init` for {comment(str(self.survey.folder))}; every line may be changed."
        yield "# What a key means and which others there are: docs/recipe.md. Then: tonsai run --recipe THIS_FILE"
        yield f"name: {self.name}"
        found = [
            f"{size(self._bytes(lang))} of {_LANGUAGE_NAMES[lang]}" for lang in self.choice.shares
        ]
        text = f"{' and '.join(found)} from {self.survey.folder.name}."
        yield f"description: {quoted(text)}"
        if described := self.survey.described:
            rows = ", ".join(f"{split} {count:,}" for split, count in described.items())
            yield f"# Rows by dataset_infos.json: {comment(rows)}."

    def _bytes(self, lang: str | None = None) -> float:
        return sum(source.text_bytes for source in self.survey.training(lang))

    def _sources(self) -> Iterator[str]:
        yield ""
        yield "# A weight is the source's size in MB of text, so that all of a language's sources are read equally often."
        if not all(
            Path(p).is_relative_to(self.data_folder) for s in self.survey.sources for p in s.paths
        ):
            yield "# Paths are whole: the folder does not lie below this file's (or TONSAI_DATA)."
        yield "sources:"
        for source in self.survey.sources:
            if not source.is_held_out or source in self.pair:
                yield from self._source(source)

    def _source(self, source: SourceProposal) -> Iterator[str]:
        column, text = source.column, size(source.text_bytes)
        is_legacy = column.legacy_frac > 0.5
        seen = (
            "set in a legacy font" if is_legacy else f"{column.frac(source.lang):.0%} of its text"
        )
        yield f"  - name: {source.name}"
        yield f"    lang: {source.lang}  # {seen}"
        if source.is_held_out:
            yield "    weight: 0  # an evaluation set: measured, never trained on"
        elif source.is_junk:
            reason = "no Unicode text" if is_legacy else "junk by its name"
            yield f"    weight: 0  # {reason}: not trained on"
        else:
            yield f"    weight: {_weight(source.text_bytes)}  # {text} of text, {column.median_words:,.0f} words a document (median)"
        paths = [quoted(self._path(path)) for path in source.paths]
        number = f"  # {len(source.files):,} files" if len(source.files) > 1 else ""
        if len(paths) == 1:
            yield f"    path: {paths[0]}{number}"
        else:
            yield f"    path:{number}"
            yield from (f"      - {path}" for path in paths)
        if not source.first.by_name:
            yield f"    format: {source.first.format}  # by its content; the name does not say"
        if column.name not in ("", "text"):
            yield f"    text_column: {quoted(column.name)}  # the column of running text"
        yield from _kind_and_dialect(source)
        if source.text_layout is not None:
            reason = {
                "line": "no blank lines: each line is a document",
                "blank_line": "documents are set apart by blank lines",
                "file": "many small files: each is a document",
            }[source.text_layout]
            yield f"    text_layout: {source.text_layout}  # {reason}"
        if source.where:
            pairs = ", ".join(f"{quoted(key)}: {quoted(value)}" for key, value in source.where)
            yield f"    where: {{{pairs}}}  # the field that tells its records apart"
        if source.license:
            yield f"    license: {quoted(source.license)}  # by the data set's card"
        for note in source.notes:
            yield f"    # {comment(note)}"

    def _path(self, path: str) -> str:
        whole = Path(path)
        if whole.is_relative_to(self.data_folder):
            return whole.relative_to(self.data_folder).as_posix() or "."
        return path

    def _left_out(self) -> Iterator[str]:
        skipped = [
            (source, f"{source.split} split")
            for source in self.survey.held_out
            if source not in self.pair
        ]
        if skipped:
            yield "# Not trained on, as they are held out by their names or the data set's card:"
            told: dict[Path, str] = {}
            for source, split in skipped:
                for file in source.files:
                    told.setdefault(file.path, f"{split}, {source.look.num_rows:,} rows")
            for path, facts in list(told.items())[:_MAX_HELD_OUT_NAMED]:
                yield f"#   {comment(self._path(str(path)))}: {facts}"
            if len(told) > _MAX_HELD_OUT_NAMED:
                yield f"#   and {len(told) - _MAX_HELD_OUT_NAMED:,} more"
        by_reason: dict[str, list[str]] = {}
        for path, reason in self.survey.left_out:
            by_reason.setdefault(reason, []).append(self._path(str(path)))
        if by_reason:
            yield "# Left out:"
        for reason, paths in sorted(by_reason.items()):
            named = ", ".join(sorted(paths)[:_MAX_NAMED])
            more = f" and {len(paths) - _MAX_NAMED:,} more" if len(paths) > _MAX_NAMED else ""
            yield f"#   {comment(named)}{more}: {comment(reason)}"

    def _dedup(self) -> Iterator[str]:
        sets = [
            source
            for source in self.survey.held_out
            if source not in self.pair
            and source.text_bytes <= _MAX_EVALUATION_BYTES
            and not source.look.num_bad
            and source.first.format != "hf_disk"
        ]
        has_junk = any(source.is_junk for source in self.survey.sources)
        if not sets and not has_junk:
            return
        yield ""
        yield "dedup:"
        if has_junk:
            yield "  # Junk is often a copy of what stays, and then loses all its documents: that must not stop the run."
            yield "  max_dropped_frac: 1"
        if not sets:
            return
        yield "  decontaminate:"
        yield "    # Training text that holds what the held-out files ask is dropped."
        yield "    evaluation_sets:"
        written: Counter[Path] = Counter()
        for source in sets:
            for number, file in enumerate(source.files):
                written[file.path] += 1
                if written[file.path] > 1:
                    continue
                columns = [s.column.name for s in sets if file in s.files]
                name = source.name.removesuffix(f"_{source.column.name}")
                name += f"_{number}" if len(source.files) > 1 else ""
                fields = [f"name: {name}", f"path: {quoted(self._evaluation_path(file.path))}"]
                if columns not in (["text"], [""]):
                    fields.append(f"text_columns: [{', '.join(map(quoted, columns))}]")
                if not file.by_name:
                    fields.append(f"format: {file.format}")
                yield f"      - {{{', '.join(fields)}}}"

    def _evaluation_path(self, path: Path) -> str:
        """Paths of evaluation sets start at the recipe's folder, whatever the data folder is."""
        inside = path.is_relative_to(self.recipe_folder)
        return path.relative_to(self.recipe_folder).as_posix() if inside else str(path)

    def _quality(self) -> Iterator[str]:
        classifiers = list(self._classifiers())
        if classifiers:
            yield ""
            yield "quality:"
            yield "  # Sources that are called junk teach a classifier what is not wanted."
            yield "  classifiers:"
            yield from classifiers

    def _classifiers(self) -> Iterator[str]:
        for lang in self.choice.shares:
            good = [s for s in self.survey.training(lang) if s.kind not in _SHORT_KINDS]
            bad = [
                s
                for s in self.survey.sources
                if s.is_junk
                and s.lang == lang
                and not s.is_held_out
                and not s.column.legacy_frac > 0.5
            ]
            if all(
                sum(s.text_bytes for s in side) >= _MIN_CLASSIFIER_BYTES for side in (good, bad)
            ):
                yield f"    {lang}:"
                yield f"      positives: [{', '.join(s.name for s in good)}]"
                yield f"      negatives: [{', '.join(s.name for s in bad)}]"

    def _mixture(self) -> Iterator[str]:
        shares = ", ".join(f"{lang}: {share:g}" for lang, share in self.choice.shares.items())
        yield ""
        yield "mixture:"
        yield f"  languages: {{{shares}}}  # {self.choice.reasons['languages']}"
        for lang, share in self.choice.shares.items():
            passes = (
                self.choice.total_tokens * share * BYTES_PER_TOKEN[lang] / max(1, self._bytes(lang))
            )
            yield f"  # {_LANGUAGE_NAMES[lang]}: about {passes:.1f} passes over {size(self._bytes(lang))}."
        yield f"  max_epochs: {MAX_EPOCHS:g}  # passes that are almost as good as new text; the run is as long as they allow"

    def _tokenizer(self) -> Iterator[str]:
        yield ""
        yield "tokenizer:"
        if self.base is None:
            yield f"  vocab_size: {self.choice.rung.vocab_size}  # goes with the model's size"
        else:
            yield from tokenizer_lines(self.base, self._bytes("khm"), self._bytes())
        if self.pair:
            pair = ", ".join(f"{source.lang}: {source.name}" for source in self.pair)
            yield f"  parallel: {{{pair}}}  # as many rows under the same name: translations of each other"

    def _model(self) -> Iterator[str]:
        rung, base = self.choice.rung, self.base
        yield ""
        yield "packing:"
        yield f"  seq_len: {rung.seq_len}  # tokens in a row"
        yield ""
        yield "model:"
        if base is not None:
            yield f"  base: {quoted(base.name)}"
            return
        yield f"  # {self.choice.reasons['model']}."
        yield "  architecture: gpt2"
        yield f"  num_layers: {rung.num_layers}"
        yield f"  hidden_size: {rung.hidden_size}"
        yield f"  num_heads: {rung.num_heads}"

    def _train(self) -> Iterator[str]:
        choice, rung = self.choice, self.choice.rung
        steps = max(1, int((choice.max_tokens or choice.total_tokens) / rung.global_batch_tokens))
        every = max(10, min(500, steps // 10))
        yield ""
        yield "train:"
        if choice.max_tokens is not None:
            yield f"  max_tokens: {choice.max_tokens}  # {choice.reasons['train']}; the text is for {choice.total_tokens / 1e6:,.0f} M"
        elif self.base is None:
            yield f"  # Once through the mixture, {choice.total_tokens / 1e6:,.1f} M tokens: {choice.reasons['train']}."
        yield f"  global_batch_tokens: {rung.global_batch_tokens}  # about {steps:,} steps"
        yield f"  micro_batch_rows: {choice.micro_batch_rows}  # what fits {self.machine}"
        yield f"  precision: {choice.precision}"
        if choice.zero_stage:
            yield f"  zero_stage: {choice.zero_stage}"
        if self.base is None:
            yield f"  optimizer: {{lr: {plain_number(rung.lr)}}}"
            yield "  schedule: {shape: wsd, warmup_frac: 0.03, decay_frac: 0.3}"
        else:
            yield "  optimizer: {lr: 1.0e-4}  # below the base model's own peak"
            yield "  schedule: {shape: wsd, warmup_frac: 0.02, decay_frac: 0.2}"
            if self._bytes("eng") and "eng" in choice.shares:
                yield "  regression: {max_rise_frac: {eng: 0.03}}  # English may lose 3 % of bits per byte"
        yield f"  validation: {{every_steps: {every}, max_rows: 64}}"
        yield f"  checkpoint: {{every_steps: {max(every, 50)}}}"


def _kind_and_dialect(source: SourceProposal) -> Iterator[str]:
    dialect = [
        f"{name}: {json.dumps(value)}"
        for name, value in asdict(source.look.dialect).items()
        if value is not None
    ]
    if dialect:
        yield f"    dialect: {{{', '.join(dialect)}}}  # so its fields come out even; the format's habit is another"
    if source.kind != "prose" and not source.is_junk:
        yield f"    kind: {source.kind}  # {'by its name' if source.kind_by_name else _LOOKS[source.kind]}"


def _parallel(held_out: list[SourceProposal]) -> list[SourceProposal]:
    """Find two evaluation sets that are translations: the same name in both languages, as many rows."""
    by_rows: dict[tuple[str, int], dict[str, SourceProposal]] = {}
    for source in held_out:
        if len(source.files) == 1 and source.look.is_whole and not source.where:
            key = source.name.removeprefix(f"{source.lang}_"), source.look.num_rows
            by_rows.setdefault(key, {})[source.lang] = source
    pairs = [found for found in by_rows.values() if len(found) == len(_LANGUAGE_NAMES)]
    return [pairs[0][lang] for lang in _LANGUAGE_NAMES] if pairs else []


def _weight(num_bytes: float) -> str:
    return plain_number(max(0.01, float(f"{num_bytes / 1e6:.2g}")))
