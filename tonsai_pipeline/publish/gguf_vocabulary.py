"""A tokenizer folder -> the vocabulary of a GGUF file, and the proof that it gives the same ids.

    tokenizer.json ──read_vocabulary──▶ GgufVocabulary ──write_vocabulary──▶ tokenizer.ggml.*
    tokenizer.ggml.* ──rebuild──▶ Tokenizer ──texts──▶ ids, equal to those of tokenizer.json

llama.cpp takes the words before BPE from a list of named patterns that is compiled in, and falls back to another one
without an error: a pattern that it does not know would cut every Khmer cluster. So only known ones are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import orjson
import regex
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.tokenizer.assemble import (
    IM_END,
    INFO_NAME,
    NORMALIZER_NAME,
    TokenizerInfo,
    parse_info,
)
from tonsai_pipeline.tokenizer.pretokenize import GPT2_PATTERN, QWEN2_PATTERN, WORD_PATTERN

#: What llama.cpp calls the patterns that it knows and we can meet. Source: llama.cpp, `llama-vocab.cpp`.
_PATTERNS = {
    "qwen35": WORD_PATTERN,
    "qwen2": QWEN2_PATTERN,
    "gpt-2": GPT2_PATTERN,
}
_PLAIN_MODEL = {
    "byte_fallback": False,
    "continuing_subword_prefix": ("", None),
    "dropout": (0.0, None),
    "end_of_word_suffix": ("", None),
    "ignore_merges": False,
}
#: Marks of instruction tuning in a chat template, which only transformers reads.
_GENERATION_TAG = regex.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}\n?")


@dataclass(frozen=True)
class GgufVocabulary:
    """What llama.cpp must know to cut and to stop.

    Args:
        pre: Its name for the words before BPE.
        tokens: By id.
        types: By id, a `gguf.TokenType` each.
        merges: In order of rank, the two sides with a space between.
        info: The ids of begin, end and padding.
        eot_id: The token that ends a turn of a chat, if there is one.
        chat_template: Jinja, without the marks of instruction tuning; or None.
        normalizer: What tokenizer.json and the corpus do to text first, as JSON: llama.cpp does none of it.
    """

    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    info: TokenizerInfo
    eot_id: int | None
    chat_template: str | None
    normalizer: str


def read_vocabulary(folder: Path) -> GgufVocabulary:
    """Read a tokenizer folder.

    Raises:
        DataError: llama.cpp cannot cut text as this tokenizer does.
    """
    state: dict[str, Any] = orjson.loads((folder / "tokenizer.json").read_bytes())
    pre = _name_of_words(state, folder)
    info = parse_info((folder / INFO_NAME).read_bytes())
    added = {token["id"]: token for token in state["added_tokens"]}
    ids = {
        **state["model"]["vocab"],
        **{token["content"]: number for number, token in added.items()},
    }
    by_id = {number: token for token, number in ids.items()}
    if sorted(by_id) != list(range(info.vocab_size)):
        raise DataError(f"{folder}: its ids have gaps, which a GGUF vocabulary cannot have")
    kinds = gguf.TokenType
    types = [
        kinds.NORMAL
        if number not in added
        else (kinds.CONTROL if added[number]["special"] else kinds.USER_DEFINED)
        for number in range(info.vocab_size)
    ]
    template = folder / "chat_template.jinja"
    text = template.read_text(encoding="utf-8") if template.is_file() else None
    options = folder / NORMALIZER_NAME
    normalizer = {
        "tokenizer.json": state["normalizer"],
        "corpus": orjson.loads(options.read_bytes()) if options.is_file() else None,
        "note": "none of it is done by llama.cpp: normalize Khmer before it",
    }
    return GgufVocabulary(
        pre=pre,
        tokens=[by_id[number] for number in range(info.vocab_size)],
        types=[int(kind) for kind in types],
        merges=[_merge(merge) for merge in state["model"]["merges"]],
        info=info,
        eot_id=ids.get(IM_END),
        chat_template=None if text is None else _GENERATION_TAG.sub("", text),
        normalizer=orjson.dumps(normalizer).decode(),
    )


def write_vocabulary(writer: gguf.GGUFWriter, vocabulary: GgufVocabulary) -> None:
    """Write the `tokenizer.*` keys."""
    info = vocabulary.info
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(info.bos_id)
    writer.add_eos_token_id(info.eos_id)
    writer.add_pad_token_id(info.pad_id)
    # Documents begin with BOS where it is a token of its own. llama.cpp leaves it out before a chat template that
    # writes one itself.
    writer.add_add_bos_token(info.bos_id != info.eos_id)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    if vocabulary.eot_id is not None:
        writer.add_eot_token_id(vocabulary.eot_id)
    if vocabulary.chat_template is not None:
        writer.add_chat_template(vocabulary.chat_template)
    writer.add_string("tonsai.normalizer", vocabulary.normalizer)


def check_ids(path: Path, folder: Path, texts: Iterable[str]) -> int:
    """Compare the ids that a GGUF file gives with those of tokenizer.json, on normalized text.

    Args:
        path: The GGUF file; nothing but its own keys is used.
        folder: The tokenizer.
        texts: What to cut.

    Returns:
        Texts compared.

    Raises:
        DataError: A text has other ids.
    """
    original = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rebuilt = rebuild(path)
    num_texts = 0
    for raw in texts:
        text = raw if original.normalizer is None else original.normalizer.normalize_str(raw)
        expected = original.encode(text, add_special_tokens=False).ids
        if rebuilt.encode(text, add_special_tokens=False).ids != expected:
            raise DataError(f"{path}: {text[:80]!r} has other ids than with tokenizer.json")
        num_texts += 1
    return num_texts


def rebuild(path: Path) -> Tokenizer:
    """Build the tokenizer that a GGUF file describes."""
    fields = gguf.GGUFReader(path).fields
    pre, tokens, types, merges = (
        fields[f"tokenizer.ggml.{name}"].contents()
        for name in ("pre", "tokens", "token_type", "merges")
    )
    vocab = {token: number for number, token in enumerate(tokens)}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERNS[pre]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    for token, kind in zip(tokens, types, strict=True):
        if kind != gguf.TokenType.NORMAL:
            special = kind == gguf.TokenType.CONTROL
            tokenizer.add_tokens([AddedToken(token, special=special, normalized=False)])
    return tokenizer


def _name_of_words(state: dict[str, Any], folder: Path) -> str:
    """Return llama.cpp's name for how a tokenizer cuts words."""
    model = state["model"]
    if model["type"] != "BPE" or "ByteLevel" not in str(state["pre_tokenizer"]):
        raise DataError(
            f"{folder}: llama.cpp reads byte-level BPE of ours, not {model['type']} with this alphabet; "
            "train with `tokenizer: {alphabet: byte}`"
        )
    for name, plain in _PLAIN_MODEL.items():
        if model.get(name, False) not in (plain if isinstance(plain, tuple) else (plain,)):
            raise DataError(f"{folder}: llama.cpp knows no BPE with {name} = {model[name]!r}")
    for token in state["added_tokens"]:
        if token["lstrip"] or token["rstrip"] or token["single_word"]:
            raise DataError(
                f"{folder}: llama.cpp takes the token '{token['content']}' as it stands, without the white space "
                "around it"
            )
    steps = state["pre_tokenizer"].get("pretokenizers", [state["pre_tokenizer"]])
    patterns = []
    for step in steps:
        if step["type"] == "Split" and step["behavior"] == "Isolated" and not step["invert"]:
            patterns.append(step["pattern"].get("Regex"))
        elif step["type"] == "ByteLevel" and not step["add_prefix_space"]:
            patterns += [GPT2_PATTERN] if step["use_regex"] else []
        else:
            patterns.append(step["type"])
    known = {(pattern,): name for name, pattern in _PATTERNS.items()}
    if tuple(patterns) not in known:
        raise DataError(
            f"{folder}: llama.cpp knows no pre-tokenizer that cuts words like this tokenizer, and would cut Khmer in "
            f"pieces: {patterns}. It knows those of tokenizers trained here and of {', '.join(_PATTERNS)}; with Khmer "
            "added to Qwen2's or Qwen3's, `tokenizer: {extend_words: qwen35}`"
        )
    return known[tuple(patterns)]


def _merge(merge: str | list[str]) -> str:
    return merge if isinstance(merge, str) else " ".join(merge)
