"""What was prepared -> the numbers that people and the next stages read: by source, by reason, labels shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.licenses import strictest
from tonsai_pipeline.packing.rows import PackingStats
from tonsai_pipeline.recipe.sft import SftConfig
from tonsai_pipeline.stages.prepare_sft.chat_tokenizer import ChatTokenizer
from tonsai_pipeline.stages.prepare_sft.choose import Chosen
from tonsai_pipeline.stages.prepare_sft.encode import Encoded
from tonsai_pipeline.stages.prepare_sft.rows import TRAIN, Item
from tonsai_pipeline.storage.store import Artifact

_NUM_SHOWN = 3
_SHOWN_CHARS = 1000


def report(
    instructions: Artifact,
    chosen: Chosen,
    items: Sequence[Item],
    replayed: Mapping[str, Sequence[npt.NDArray[np.int64]]],
    splits: Mapping[str, PackingStats],
    chat: ChatTokenizer,
    config: SftConfig,
) -> dict[str, Any]:
    """Count what was written, by source, and show some conversations with what is learned of them.

    Args:
        instructions: instruction_data.
        chosen: What became of the conversations.
        items: Those of one epoch.
        replayed: Pretraining text, by language.
        splits: What the rows hold.
        chat: The tokenizer.
        config: The recipe's `sft` section.
    """
    learned = [0 if item.learned is None else int(item.learned.sum()) for item in items]
    licenses = {
        source.name: _license(source.license, source.origin_license) for source in config.sources
    }
    num_tokens = sum(len(item.ids) for item in items)
    return {
        "num_conversations": len(chosen.train),
        "num_held_out": len(chosen.held_out),
        "num_turns": sum(len(one.conversation.messages) for one in chosen.train),
        "num_tokens": splits[TRAIN].num_tokens,
        "num_learned_tokens": sum(learned),
        "learned_frac": sum(learned) / max(1, num_tokens),
        "num_rows": splits[TRAIN].num_rows,
        "fill_frac": splits[TRAIN].fill_frac,
        "num_truncated": chosen.num_truncated,
        "num_dropped_turns": chosen.num_dropped_turns,
        "replay_tokens": {lang: sum(map(len, found)) for lang, found in replayed.items()},
        "sources": {
            source.name: {
                **instructions.report["sources"][source.name],
                "num_dropped_later": sum(chosen.dropped[source.name].values()),
                "num_train": sum(one.conversation.source == source.name for one in chosen.train),
                "num_held_out": sum(
                    one.conversation.source == source.name for one in chosen.held_out
                ),
                "num_tokens": sum(len(item.ids) for item in items if item.source == number),
                "num_learned_tokens": sum(
                    n for n, item in zip(learned, items, strict=True) if item.source == number
                ),
                "license": licenses[source.name],
            }
            for number, source in enumerate(config.sources)
        },
        "dropped": {name: dict(sorted(found.items())) for name, found in chosen.dropped.items()},
        "license": strictest(licenses.values()),
        "end": chat.template.end,
        "marker_ids": chat.marker_ids,
        "num_added_markers": chat.num_added,
        "splits": {
            name: {"num_rows": one.num_rows, "num_tokens": one.num_tokens}
            for name, one in splits.items()
        },
        "shown": [_shown(one, chat) for one in chosen.train[:_NUM_SHOWN]],
    }


def _license(own: str, origin: str | None) -> str:
    return str(strictest([own, *([origin] if origin else [])]))


def _shown(one: Encoded, chat: ChatTokenizer) -> dict[str, str]:
    """Show a conversation and what of it is learned, as decoded tokens."""
    decode = chat.tokenizer.decode
    return {
        "source": one.conversation.source,
        "given": decode(one.ids.tolist(), skip_special_tokens=False)[:_SHOWN_CHARS],
        "learned": decode(one.ids[one.learned].tolist(), skip_special_tokens=False)[:_SHOWN_CHARS],
    }
