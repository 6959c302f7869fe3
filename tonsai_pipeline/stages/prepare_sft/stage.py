"""instruction_data and a base model's tokenizer -> sft_dataset: rows in training order that say which tokens are learned.

    conversations ──no copies, nothing measured──▶ tokens, replies learned ──shares, replay, best fit──▶ train/
                                   └──held out──▶ val_replies/, held_out.parquet        corpus, held out ──▶ val_khm/, val_eng/

`tokenizer/` is the tokenizer of the tuned model. Every conversation is counted: in a row, held out, or dropped by its
reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tonsai_pipeline.dedup.contamination import EvaluationIndex
from tonsai_pipeline.dedup.shingles import SHINGLE_VERSION
from tonsai_pipeline.engine import Engine
from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.instructions.formats import Message
from tonsai_pipeline.lineage import Fields, Stage, Table, every_dump, whole
from tonsai_pipeline.mixture.budget import budget
from tonsai_pipeline.packing import PACKING_VERSION
from tonsai_pipeline.packing.rows import PackingStats
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline.recipe.dedup import DecontaminateConfig
from tonsai_pipeline.recipe.evaluate import EvaluateConfig
from tonsai_pipeline.recipe.mixture import MixtureConfig
from tonsai_pipeline.recipe.sft import SftConfig
from tonsai_pipeline.recipe.sources import NormalizeConfig
from tonsai_pipeline.schema import HELD_OUT_CONVERSATIONS, DumpKey
from tonsai_pipeline.stages.decontaminate.evaluation_sets import ARRAYS
from tonsai_pipeline.stages.mix.texts import TextPart, mixture_parts
from tonsai_pipeline.stages.prepare_sft.chat_tokenizer import (
    FOLDER,
    ChatTokenizer,
    write_chat_tokenizer,
)
from tonsai_pipeline.stages.prepare_sft.choose import Chosen, choose
from tonsai_pipeline.stages.prepare_sft.encode import Encoded
from tonsai_pipeline.stages.prepare_sft.replay import document_ids, held_out_texts, replay
from tonsai_pipeline.stages.prepare_sft.report import report
from tonsai_pipeline.stages.prepare_sft.rows import REPLIES, TRAIN, Item, write_rows
from tonsai_pipeline.stages.prepare_sft.select import Conversation
from tonsai_pipeline.stages.read_instructions.stage import is_wanted
from tonsai_pipeline.storage.documents import read_part, write_part
from tonsai_pipeline.storage.rows import RowsHeader
from tonsai_pipeline.storage.sorted_arrays import load_array
from tonsai_pipeline.storage.store import Artifact
from tonsai_pipeline.text.dedup_key import DEDUP_KEY_VERSION
from tonsai_pipeline.tokenizer.fertility import token_lengths

#: Held-out conversations, which the tuned model is asked.
HELD_OUT_NAME = "held_out.parquet"


def prepare(
    folder: Path,
    *,
    instructions: Artifact,
    evaluation: Artifact,
    tokenizer: Artifact | None,
    mixed: Mapping[DumpKey, Artifact],
    normalized: Mapping[DumpKey, Artifact],
    config: SftConfig,
    mixture: MixtureConfig,
    decontaminate: DecontaminateConfig,
    evaluate: EvaluateConfig,
    normalize: NormalizeConfig,
    engine: Engine,
) -> dict[str, Any]:
    """Prepare the rows that a model is tuned on.

    Args:
        folder: The building folder.
        instructions: instruction_data.
        evaluation: N-grams of the evaluation sets.
        tokenizer: That of the model that this recipe pretrains; None where `sft.base` names another.
        mixed: mixture_documents by dump.
        normalized: normalized_documents of the same dumps.
        config: The recipe's `sft` section.
        mixture: The recipe's `mixture` section: the languages' shares.
        decontaminate: The recipe's `dedup.decontaminate` section.
        evaluate: The recipe's `evaluate` section: texts, where there is no corpus.
        normalize: The recipe's `normalize` section.
        engine: Not used: instruction data is small.

    Raises:
        RecipeError: The chat template cannot be used, shares or replay do not fit what there is.
        DataError: No conversation is left.
    """
    del engine
    base = config.base if tokenizer is None else str(tokenizer.path)
    assert base is not None, "declared: the tokenizer is read where no base is named"
    chat = write_chat_tokenizer(base, folder / FOLDER, config, normalize.options())
    index = None
    if evaluation.report["sets"]:
        index = EvaluationIndex(*(load_array(evaluation.path / f"{name}.npy") for name in ARRAYS))
    chosen = choose(read_conversations(instructions), index, chat, config, decontaminate)
    parts = mixture_parts(mixed, normalized)
    items = _plan(chosen.train, config)
    num_replay = round(
        sum(len(one.ids) for one in items) * config.replay_frac / (1 - config.replay_frac)
    )
    replayed = replay(
        parts,
        chat,
        num_tokens=num_replay,
        shares={str(lang): share for lang, share in mixture.languages.items()},
        seed=config.seed,
    )
    splits = _write(
        folder, items, replayed, chosen, _held_out(parts, evaluate, normalize, chat), chat, config
    )
    write_part(folder / HELD_OUT_NAME, [_table(chosen.held_out)], HELD_OUT_CONVERSATIONS)
    return report(instructions, chosen, items, replayed, splits, chat, config)


def read_conversations(instructions: Artifact) -> Iterator[Conversation]:
    """Yield the conversations that may be learned from, in the order of sources."""
    for path in instructions.parts():
        for row in read_part(
            path, ["source", "row", "lang", "messages", "drop_reason"]
        ).to_pylist():
            if row.pop("drop_reason") is None:
                row["messages"] = tuple(Message(**turn) for turn in row["messages"])
                yield Conversation(**row)


def _plan(train: Sequence[Encoded], config: SftConfig) -> list[Item]:
    """Return the conversations of one epoch: each once, or as often as the weights ask."""
    by_source: dict[str, list[Encoded]] = defaultdict(list)
    for one in train:
        by_source[one.conversation.source].append(one)
    names = [source.name for source in config.sources]
    weights = {s.name: s.weight for s in config.sources if s.weight is not None}
    targets: Mapping[str, int] = {}
    if weights:
        shares = {name: weight / sum(weights.values()) for name, weight in weights.items()}
        available = {name: sum(len(one.ids) for one in by_source[name]) for name in names}
        try:
            targets = budget(
                available, shares, total_tokens=None, max_epochs=config.max_repeats
            ).target_tokens
        except ValueError as error:
            raise RecipeError(f"sft.sources: {error}") from error
    items = []
    for number, name in enumerate(names):
        taken = list(by_source[name])
        if weights:
            taken = _repeat(taken, targets[name], np.random.default_rng([config.seed, number]))
        items += [Item(one.ids, one.learned, number) for one in taken]
    return items


def _repeat(found: list[Encoded], num_tokens: int, generator: np.random.Generator) -> list[Encoded]:
    """Take whole passes over a source, and of the last one the first of a random order."""
    taken, left = [], num_tokens
    while left > 0:
        for place in generator.permutation(len(found)):
            taken.append(found[place])
            left -= len(found[place].ids)
            if left <= 0:
                break
    return taken


def _held_out(
    parts: Sequence[TextPart],
    evaluate: EvaluateConfig,
    normalize: NormalizeConfig,
    chat: ChatTokenizer,
) -> dict[str, list[npt.NDArray[np.int64]]]:
    texts = held_out_texts(parts, evaluate, normalize.options())
    return {lang: [document_ids(text, chat) for text in found] for lang, found in texts.items()}


def _write(
    folder: Path,
    items: Sequence[Item],
    replayed: Mapping[str, Sequence[npt.NDArray[np.int64]]],
    chosen: Chosen,
    texts: Mapping[str, Sequence[npt.NDArray[np.int64]]],
    chat: ChatTokenizer,
    config: SftConfig,
) -> dict[str, PackingStats]:
    """Write every split and return its numbers."""
    header = _header(chat, config)
    numbers = {name: number for number, name in enumerate(header.sources)}
    lengths = token_lengths(chat.tokenizer.to_str())
    lengths[
        [i for i, token in chat.tokenizer.get_added_tokens_decoder().items() if token.special]
    ] = 0
    drawn = [
        Item(ids, None, numbers[f"text_{lang}"])
        for lang, found in replayed.items()
        for ids in found
    ]
    replies = [
        Item(one.ids, one.learned, numbers[one.conversation.source]) for one in chosen.held_out
    ]
    splits: list[tuple[str, list[Item], str, int | None]] = [
        (TRAIN, [*items, *drawn], config.packing, config.seed),
        (REPLIES, replies, config.packing, None),
    ]
    for lang, found in texts.items():
        held_out = [Item(ids, None, numbers[f"text_{lang}"]) for ids in found]
        splits.append((f"val_{lang}", held_out, "in_order", None))
    return {
        name: write_rows(folder / name, own, header, lengths, packing=packing, seed=seed)
        for name, own, packing, seed in splits
    }


def _header(chat: ChatTokenizer, config: SftConfig) -> RowsHeader:
    sources = [(source.name, source.lang or "any") for source in config.sources]
    sources += [("text_khm", "khm"), ("text_eng", "eng")]
    return RowsHeader(
        seq_len=config.max_length,
        vocab_size=chat.vocab_size,
        pad_id=chat.info.pad_id,
        bos_id=chat.info.bos_id,
        eos_id=chat.info.eos_id,
        tokenizer_digest=chat.info.digest,
        sources=tuple(name for name, _ in sources),
        languages=tuple(lang for _, lang in sources),
    )


def _table(found: Sequence[Encoded]) -> pa.Table:
    rows = [
        {**one.conversation._asdict(), "messages": [m._asdict() for m in one.conversation.messages]}
        for one in found
    ]
    return pa.Table.from_pylist(rows, schema=HELD_OUT_CONVERSATIONS)


def pretrains(recipe: Recipe) -> bool:
    """Whether the model that is tuned is the one that the recipe pretrains."""
    return recipe.sft.base is None


STAGE = Stage(
    "sft_dataset",
    version=f"1+shingles{SHINGLE_VERSION}+key{DEDUP_KEY_VERSION}+packing{PACKING_VERSION}",
    make=prepare,
    fields={
        "config": Fields("sft", without=("method", "lora", "replies", "train", "following")),
        "mixture": Fields("mixture", only=("languages",)),
        "decontaminate": Fields("dedup.decontaminate", without=("evaluation_sets", "prompt_suite")),
        "evaluate": Fields("evaluate", only=("texts", "max_documents")),
        "normalize": Fields("normalize", only=("coeng_da", "duplicate_marks")),
    },
    reads={
        "instructions": whole("instruction_data"),
        "evaluation": whole("evaluation_ngrams"),
        "tokenizer": whole("tokenizer", when=pretrains),
        "mixed": every_dump("mixture_documents"),
        "normalized": every_dump("normalized_documents"),
    },
    table=Table(HELD_OUT_CONVERSATIONS, same="instructions"),
    of_recipe=is_wanted,
)
