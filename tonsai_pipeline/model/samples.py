"""Fixed prompts -> what the model goes on to write, for reading.

    prompt ──normalize──▶ ids ──generate──▶ ids ──▶ text, with the share of bytes that are no character

Prompts are fixed, so that two models can be read side by side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.model.build import load_model
from tonsai_pipeline.model.generate import allowed_tokens, generate
from tonsai_pipeline.recipe.evaluate import GenerationConfig
from tonsai_pipeline.text.normalize import NormalizeOptions, normalize

#: What a decoder writes for bytes that are no UTF-8; a byte-level model writes such bytes early in training.
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Sample:
    """One text that a model wrote.

    Args:
        language: Of the prompt.
        prompt: As the model saw it, normalized.
        text: What the model wrote after it.
        num_tokens: Tokens written.
        ended: Whether the model itself ended the text.
        broken_frac: Fraction of the characters that stand for bytes which are no UTF-8.
    """

    language: str
    prompt: str
    text: str
    num_tokens: int
    ended: bool
    broken_frac: float


def shipped_prompts() -> dict[str, tuple[str, ...]]:
    """Return the fixed prompts by language."""
    raw = files("tonsai_pipeline.model").joinpath("prompts.json").read_text(encoding="utf-8")
    return {language: tuple(prompts) for language, prompts in json.loads(raw).items()}


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Open the tokenizer of a model folder.

    Raises:
        DataError: The folder holds none.
    """
    try:
        return AutoTokenizer.from_pretrained(str(folder))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: no tokenizer in it: {error}") from error


def write_samples(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Mapping[str, Sequence[str]],
    section: GenerationConfig,
    *,
    coeng_da: str = "fold",
) -> list[Sample]:
    """Let the model continue each prompt.

    Args:
        model: On any device.
        tokenizer: The one it was trained with.
        prompts: By language.
        section: How tokens are drawn; prompt and sample number vary the seed.
        coeng_da: "fold" or "preserve", as the corpus was normalized.

    Returns:
        Samples in the order of the prompts.
    """
    return [
        _write(
            model,
            tokenizer,
            language,
            _normalized(raw, coeng_da),
            section.model_copy(update={"seed": section.seed + 1_000 * place + number}),
        )
        for language, texts in prompts.items()
        for place, raw in enumerate(texts)
        for number in range(section.num_samples)
    ]


def continue_text(
    model_dir: Path,
    prompt: str,
    *,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
    coeng_da: str = "fold",
) -> str:
    """Let a saved model go on from a prompt.

    Args:
        model_dir: A Hugging Face folder with its tokenizer.
        prompt: Normalized before the model sees it.
        max_new_tokens: Tokens written at most.
        temperature: 0 takes the likeliest token.
        top_p: Draw from the likeliest tokens that together hold this probability.
        seed: Same seed, same text.
        coeng_da: "fold" or "preserve", as the corpus was normalized.

    Returns:
        What comes after the prompt.

    Raises:
        TonsaiError: The folder holds no model or no tokenizer, or the prompt fills the model's context.
    """
    disable_progress_bar()
    section = GenerationConfig(
        max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed
    )
    model, tokenizer = load_model(model_dir), open_tokenizer(model_dir)
    try:
        return _write(model, tokenizer, "", _normalized(prompt, coeng_da), section).text
    except ValueError as error:
        raise DataError(f"{model_dir}: {error}") from error


def _write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    language: str,
    prompt: str,
    section: GenerationConfig,
) -> Sample:
    config = model.config
    forbidden = [i for i in marker_ids(tokenizer) if i != config.eos_token_id]
    ids = [config.bos_token_id, *tokenizer.encode(prompt, add_special_tokens=False)]
    written = generate(
        model,
        ids,
        max_new_tokens=section.max_new_tokens,
        allowed=allowed_tokens(config.vocab_size, len(tokenizer), forbidden),
        eos_id=config.eos_token_id,
        temperature=section.temperature,
        top_p=section.top_p,
        seed=section.seed,
    )
    text = str(tokenizer.decode(written, skip_special_tokens=True))
    room = min(section.max_new_tokens, _context(model) - len(ids))
    return Sample(
        language=language,
        prompt=prompt,
        text=text,
        num_tokens=len(written),
        ended=len(written) < room,
        broken_frac=text.count(_REPLACEMENT) / max(1, len(text)),
    )


def _normalized(text: str, coeng_da: str) -> str:
    return normalize(
        text, NormalizeOptions(coeng_da="preserve" if coeng_da == "preserve" else "fold")
    )


def _context(model: PreTrainedModel) -> int:
    return getattr(model.config, "max_position_embeddings", None) or 1 << 30


def marker_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids of markers: BOS, padding, chat and reserved tokens. They are no text."""
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return sorted(added | set(tokenizer.all_special_ids))
