"""The corpus -> some of its training documents in tokens, and its held-out documents: what keeps and measures what the base knows.

mixture_documents ──languages' shares, a random order──▶ ids, all learned          held-out ones, evaluate.texts ──▶ by language
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.catalog.locations import location_of
from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.recipe.evaluate import EvaluateConfig
from tonsai_pipeline.schema import Split
from tonsai_pipeline.stages.mix.texts import TextPart, read_texts
from tonsai_pipeline.stages.prepare_sft.chat_tokenizer import ChatTokenizer
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.dumps import BadRow, read_dump_file
from tonsai_pipeline.text import NormalizeOptions, normalize

#: Held-out documents of each language that are measured, ours: the regression gate needs no more.
_MAX_HELD_OUT = 400


def replay(
    parts: Sequence[TextPart],
    chat: ChatTokenizer,
    *,
    num_tokens: int,
    shares: Mapping[str, float],
    seed: int,
) -> dict[str, list[npt.NDArray[np.int64]]]:
    """Draw training documents of each language.

    Args:
        parts: The mixture.
        chat: The tokenizer.
        num_tokens: Tokens in all.
        shares: Share of each language; those without a document give theirs to the others.
        seed: Of the order.

    Raises:
        RecipeError: There is no corpus to draw from, or it is smaller than what is asked of it.
    """
    if not num_tokens:
        return {}
    wanted = _documents(parts, Split.TRAIN, seed)
    known = {lang: shares.get(lang, 0.0) for lang in wanted if shares.get(lang, 0.0) > 0}
    if not known:
        raise RecipeError(
            "sft.replay_frac: there is no pretraining text to draw from: name sources, or set it to 0"
        )
    found: dict[str, list[npt.NDArray[np.int64]]] = {}
    for lang, share in known.items():
        left = round(num_tokens * share / sum(known.values()))
        found[lang] = []
        for text in _texts(parts, wanted[lang]):
            ids = document_ids(text, chat)[:left]
            found[lang].append(ids)
            left -= len(ids)
            if left <= 1:
                break
        else:
            raise RecipeError(
                f"sft.replay_frac: the training documents in {lang} are {left:,} tokens too few; lower it"
            )
    return found


def held_out_texts(
    parts: Sequence[TextPart], evaluate: EvaluateConfig, options: NormalizeOptions
) -> dict[str, list[str]]:
    """Return texts to measure the base model's languages on: held-out documents, or `evaluate.texts` without a corpus."""
    found = {
        lang: list(_texts(parts, places[:_MAX_HELD_OUT]))
        for lang, places in _documents(parts, Split.VALIDATION, seed=0).items()
    }
    if found:
        return found
    texts: dict[str, list[str]] = defaultdict(list)
    for one in evaluate.texts:
        for record in read_dump_file(location_of(one), text_column=one.text_column):
            if isinstance(record, BadRow):
                raise DataError(f"evaluate.texts '{one.name}', row {record.row}: {record.detail}")
            if len(texts[one.lang]) < evaluate.max_documents:
                texts[one.lang].append(normalize(record.text, options))
    return dict(texts)


def document_ids(text: str, chat: ChatTokenizer) -> npt.NDArray[np.int64]:
    """Return a document in tokens, between the begin and the end that the base model knows."""
    chat.tokenizer.encode_special_tokens = True
    try:
        body = chat.tokenizer.encode(text, add_special_tokens=False).ids
    finally:
        chat.tokenizer.encode_special_tokens = False
    return np.array([chat.bos_id, *body, chat.text_eos_id], dtype=np.int64)


def _documents(
    parts: Sequence[TextPart], split: str, seed: int
) -> dict[str, list[tuple[int, int]]]:
    """Return (part, row of pointers) of the documents of a split, in a random order, by language."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, part in enumerate(parts):
        table = read_part(part.pointers, ["lang", "split"])
        for row, (lang, own) in enumerate(
            zip(table.column("lang").to_pylist(), table.column("split").to_pylist(), strict=True)
        ):
            if own == split:
                found[lang].append((number, row))
    for lang, places in found.items():
        order = np.random.default_rng(seed).permutation(len(places))
        found[lang] = [places[i] for i in order]
    return dict(sorted(found.items()))


def _texts(parts: Sequence[TextPart], places: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Yield texts in the order given, some hundred at a time: a part is opened once for all that is wanted of it."""
    step = 512
    for first in range(0, len(places), step):
        wanted = places[first : first + step]
        found: dict[tuple[int, int], str] = {}
        for number in Counter(number for number, _ in wanted):
            part = parts[number]
            rows = np.array(sorted(row for n, row in wanted if n == number), dtype=np.int64)
            row_in_part = read_part(part.pointers, ["row_in_part"]).column("row_in_part").to_numpy()
            for batch in read_texts(part, row_in_part, rows):
                for row, text in zip(batch.rows.tolist(), batch.texts.to_pylist(), strict=True):
                    found[number, row] = text
        yield from (found[place] for place in wanted)
