"""How a base model writes text + the ids of our tokenizer -> generation_config.json of the trained model.

    base: eos [1, 5], temperature .7 ──settings_of_base──▶ eos [1, 5, 9], bos, pad of the shards, temperature .7

A base model's temperature, top-p and further ends are its maker's knowledge: a model that loses an end writes on
past it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tokenizers import Tokenizer
from transformers import GenerationConfig, PreTrainedModel

from tonsai_pipeline.model.embeddings import load_base_tokenizer

#: Settings that name tokens by id, beside the ends; they mean nothing in another vocabulary.
_TOKEN_SETTINGS = (
    "bad_words_ids",
    "begin_suppress_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "sequence_bias",
    "suppress_tokens",
)


def settings_of_base(
    base: GenerationConfig,
    special_ids: Mapping[str, int],
    *,
    name: str,
    revision: str | None,
    tokenizer_dir: Path | None,
) -> GenerationConfig:
    """Return the base's settings with the tokenizer's ids written into them.

    Args:
        base: The base model's settings; they are not changed.
        special_ids: `bos`, `eos` and `pad` of the tokenizer.
        name: The base model, folder or Hub id: its tokenizer names its ends.
        revision: Of a Hub model.
        tokenizer_dir: The tokenizer that made the shards; None is that of the base.

    Raises:
        RecipeError: The base's tokenizer cannot be opened.
    """
    settings = GenerationConfig.from_dict(base.to_dict())
    ends = base.eos_token_id
    ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    if tokenizer_dir is not None:
        old = load_base_tokenizer(name, revision)
        new = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
        moved = [new.token_to_id(old.id_to_token(end) or "") for end in ends]
        if moved != ends:
            for setting in _TOKEN_SETTINGS:
                setattr(settings, setting, None)
        ends = [end for end in moved if end is not None]
    ends = [*dict.fromkeys((*ends, special_ids["eos"]))]
    settings.eos_token_id = ends[0] if len(ends) == 1 else ends
    settings.bos_token_id, settings.pad_token_id = special_ids["bos"], special_ids["pad"]
    return settings


@contextmanager
def written_as_they_are(model: PreTrainedModel, folder: Path) -> Iterator[None]:
    """Write the model's settings beside what is saved inside, though transformers would refuse some.

    It refuses to save changed settings with a temperature and without `do_sample`, which published models have.
    """
    settings = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = settings
    settings.to_json_file(str(folder / "generation_config.json"), use_diff=True)
