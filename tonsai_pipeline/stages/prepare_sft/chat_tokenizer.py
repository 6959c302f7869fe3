"""The base model's tokenizer -> a folder of the same tokenizer for a chat: template, markers, and the end of a reply as its end.

    tokenizer.json ──markers that are missing──▶ tokenizer/ with eos_token <|im_end|>, chat_template.jinja

The end of a reply is the end token of the tuned model. The base model's own end stays a token, and an end in
generation_config.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe.sft import SftConfig
from tonsai_pipeline.stages.train_tokenizer.base_tokenizer import BaseTokenizer, load_base
from tonsai_pipeline.storage.files import write_bytes
from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.tokenizer.assemble import (
    IM_END,
    IM_START,
    TokenizerInfo,
    describe,
    tokenizer_files,
)
from tonsai_pipeline.tokenizer.chat import CHAT_TEMPLATE, ChatTemplate

FOLDER = "tokenizer"


@dataclass(frozen=True)
class ChatTokenizer:
    """A tokenizer that knows the markers of a chat.

    Args:
        tokenizer: It.
        template: How a conversation is written.
        info: Its ids; `eos_id` is the end of a reply.
        text_eos_id: The end of a document, as the base model knows it.
        bos_id: The begin of a document.
        markers: Special tokens, which no turn may hold as text.
        vocab_size: Rows that the model's embedding needs: those of the base if no marker was added.
        num_added: Markers that the base model does not know.
    """

    tokenizer: Tokenizer
    template: ChatTemplate
    info: TokenizerInfo
    text_eos_id: int
    bos_id: int
    markers: tuple[str, ...]
    vocab_size: int
    num_added: int

    @property
    def marker_ids(self) -> list[int]:
        """Special tokens that the template puts around turns; the begin of a text is none of them."""
        probe = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        ids = set(self.ids_of([self.template.render(probe)])[0])
        special = {i for i, one in self.tokenizer.get_added_tokens_decoder().items() if one.special}
        return sorted((ids & special) - {self.bos_id})

    def ids_of(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of rendered texts, special tokens read as such, nothing added."""
        found = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        return [encoding.ids for encoding in found]


def write_chat_tokenizer(
    base: str, folder: Path, config: SftConfig, options: NormalizeOptions
) -> ChatTokenizer:
    """Open the base model's tokenizer, add what a chat needs, and write its folder.

    Args:
        base: Folder or Hub id.
        folder: Gets the files of the tokenizer.
        config: The recipe's section.
        options: How turns are normalized.

    Raises:
        RecipeError: The template cannot be used; the message says what to set.
        DataError: The base model's tokenizer is damaged.
    """
    found = load_base(base, config.base_revision)
    source = found.chat_template if config.chat_template == "auto" else None
    tokenizer = found.tokenizer
    num_before = tokenizer.get_vocab_size(with_added_tokens=True)
    if source is None:
        source = CHAT_TEMPLATE
        markers = [AddedToken(one, special=True, normalized=False) for one in (IM_START, IM_END)]
        tokenizer.add_special_tokens(markers)
    template, end = _template(base, source, found)
    files = tokenizer_files(
        tokenizer,
        options,
        bos=found.bos,
        eos=end,
        pad=found.pad,
        config=found.config,
        chat_template=source,
    )
    for name, data in files.items():
        write_bytes(folder / name, data)
    info = describe(tokenizer, bos=found.bos, eos=end, pad=found.pad)
    num_added = tokenizer.get_vocab_size(with_added_tokens=True) - num_before
    specials = [
        token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special
    ]
    return ChatTokenizer(
        tokenizer=tokenizer,
        template=template,
        info=info,
        text_eos_id=describe(tokenizer, bos=found.bos, eos=found.eos, pad=found.pad).eos_id,
        bos_id=info.bos_id,
        markers=tuple(specials),
        vocab_size=info.padded_vocab_size if num_added else info.vocab_size,
        num_added=num_added,
    )


def _template(base: str, source: str, found: BaseTokenizer) -> tuple[ChatTemplate, str]:
    """Read a template and check that it ends replies with a token."""
    tokens = {"bos_token": found.bos, "eos_token": found.eos, "pad_token": found.pad}
    try:
        template = ChatTemplate(source, tokens)
        end = template.end
    except ValueError as error:
        raise RecipeError(f"sft.base: {base}: {error}; set sft.chat_template: chatml") from error
    if found.tokenizer.token_to_id(end) is None:
        raise RecipeError(
            f"sft.base: {base}: its chat template ends a reply with {end!r}, which is no token; set "
            "sft.chat_template: chatml"
        )
    return template, end
