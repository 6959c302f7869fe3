"""A BPE model -> a tokenizer folder's files: normalizer, words, merges, special tokens, chat template.

    BpeModel ──build_tokenizer──▶ Tokenizer ──tokenizer_files──▶ tokenizer.json, tokenizer_config.json, ...

What a text goes through: NFC, zero width spaces beside Khmer and byte order marks dropped, coeng DA written as
coeng TA if so configured; words; BPE. Repair of whole clusters cannot be written in tokenizer.json: text that
people type goes through `text.normalize` first, with the options kept in `normalizer_config.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import orjson
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
)

from tonsai_pipeline.text import NormalizeOptions
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.tokenizer.bpe import BpeModel
from tonsai_pipeline.tokenizer.chat import CHAT_TEMPLATE
from tonsai_pipeline.tokenizer.pretokenize import WORD_PATTERN

BOS = "<|bos|>"
EOS = "<|eos|>"
PAD = "<|pad|>"
IM_START = "<|im_start|>"
IM_END = "<|im_end|>"
#: The model's embedding has a multiple of so many rows: tensor cores and tensor parallelism want it.
VOCAB_MULTIPLE = 128

INFO_NAME = "tonsai_tokenizer.json"
NORMALIZER_NAME = "normalizer_config.json"
_INFO_FORMAT = "tonsai-tokenizer/1"
#: What is kept of the tokenizer_config.json of a tokenizer that was taken over. Not its class, nor what its class reads
#: (`add_prefix_space`, `add_bos_token`, `split_special_tokens`): tokenizer.json alone says how text is cut.
_KEPT_SETTINGS = (
    "additional_special_tokens",
    "cls_token",
    "extra_special_tokens",
    "mask_token",
    "model_max_length",
    "padding_side",
    "sep_token",
    "truncation_side",
    "unk_token",
)

#: Only in a cluster, as `text.normalize` does: what has no base is not repaired.
COENG_DA = rf"(?<=[\u1780-\u17D3\u17DD\u200C\u200D]){chr(cp.COENG)}{chr(cp.LETTER_DA)}"
_COENG_TA = chr(cp.COENG) + chr(cp.LETTER_TA)
ZWSP_BESIDE_KHMER = rf"(?<=[\s\u1780-\u17FF]){chr(cp.ZWSP)}+|{chr(cp.ZWSP)}+(?=[\s\u1780-\u17FF])"


@dataclass(frozen=True)
class TokenizerInfo:
    """What packing and training must know about a tokenizer.

    Args:
        vocab_size: Ids of the tokenizer: the largest id plus one.
        padded_vocab_size: Rows of the model's embedding.
        bos_id: First token of a document.
        eos_id: Last token of a document; the same as `bos_id` in models that have but one separator.
        pad_id: Fills rows; differs from `eos_id`.
        digest: SHA-256 of tokenizer.json and the ids above, in hex: names the tokenizer.
    """

    vocab_size: int
    padded_vocab_size: int
    bos_id: int
    eos_id: int
    pad_id: int
    digest: str


def special_tokens(num_reserved: int) -> list[str]:
    """Return the special tokens, in order of id: borders, chat, and some kept for later use."""
    return [BOS, EOS, PAD, IM_START, IM_END, *(f"<|reserved_{n}|>" for n in range(num_reserved))]


def build_tokenizer(model: BpeModel, specials: list[str], normalize: NormalizeOptions) -> Tokenizer:
    """Put a model between normalizer, word splitter and decoder."""
    byte_fallback = model.alphabet == "char"
    tokenizer = Tokenizer(
        models.BPE(vocab=dict(model.vocab), merges=list(model.merges), byte_fallback=byte_fallback)
    )
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in specials]
    )
    tokenizer.normalizer = _normalizer(normalize)
    words = pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated")
    if byte_fallback:
        tokenizer.pre_tokenizer = words
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    else:
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, to_bytes])
        tokenizer.decoder = decoders.ByteLevel()
    # No post-processor: the chat template writes BOS, and a second one would come before every rendered chat.
    return tokenizer


def describe(tokenizer: Tokenizer, *, bos: str, eos: str, pad: str) -> TokenizerInfo:
    """Return what packing and training must know.

    Raises:
        ValueError: One of the three is not a token, or padding is the end of text.
    """
    ids = {}
    for role, token in (("bos_id", bos), ("eos_id", eos), ("pad_id", pad)):
        number = tokenizer.token_to_id(token)
        if number is None:
            raise ValueError(f"{role}: '{token}' is not a token of this tokenizer")
        ids[role] = number
    if ids["pad_id"] == ids["eos_id"]:
        raise ValueError(
            f"padding and end of text are both '{eos}': the model would not learn to stop"
        )
    vocab_size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    padded = -(-vocab_size // VOCAB_MULTIPLE) * VOCAB_MULTIPLE
    name = hashlib.sha256(tokenizer.to_str().encode())
    name.update(orjson.dumps(ids, option=orjson.OPT_SORT_KEYS))
    return TokenizerInfo(vocab_size, padded, **ids, digest=name.hexdigest())


def tokenizer_files(
    tokenizer: Tokenizer,
    normalize: NormalizeOptions,
    *,
    bos: str = BOS,
    eos: str = EOS,
    pad: str = PAD,
    config: Mapping[str, Any] | None = None,
    chat_template: str | None = CHAT_TEMPLATE,
) -> dict[str, bytes]:
    """Return the files of a tokenizer folder, by name: what `AutoTokenizer.from_pretrained` opens, and ours.

    Args:
        tokenizer: The tokenizer.
        normalize: How text is normalized before it.
        bos: Token that begins a document.
        eos: Token that ends one.
        pad: Token that fills rows.
        config: The tokenizer_config.json of a tokenizer that was taken over; what changes no id is kept.
        chat_template: Jinja, or None.
    """
    info = describe(tokenizer, bos=bos, eos=eos, pad=pad)
    names = {"bos_token": bos, "eos_token": eos, "pad_token": pad}
    settings = {
        # The class that reads tokenizer.json as it is; others build a pre-tokenizer of their own.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        # Bytes know no unknown text, but CTranslate2 cannot load a model whose tokenizer names no such token.
        "unk_token": pad,
        **{key: value for key, value in (config or {}).items() if key in _KEPT_SETTINGS},
        **names,
    }
    about = {"format": _INFO_FORMAT, **names, **vars(info)}
    written = {
        "tokenizer.json": (tokenizer.to_str(pretty=True) + "\n").encode(),
        "tokenizer_config.json": _json(settings),
        "special_tokens_map.json": _json(names),
        NORMALIZER_NAME: _json(normalize.to_dict()),
        INFO_NAME: _json(about),
    }
    if chat_template is not None:
        written["chat_template.jinja"] = chat_template.encode()
    return written


def probe_texts() -> list[str]:
    """Return short texts that show how a tokenizer cuts: scripts, digits, joiners, marks alone, white space, code."""
    return orjson.loads((files("tonsai_pipeline.tokenizer") / "probes.json").read_bytes())


def parse_info(data: bytes) -> TokenizerInfo:
    """Read `tonsai_tokenizer.json`.

    Raises:
        ValueError: It is not that file, or of another version.
    """
    values = orjson.loads(data)
    if not isinstance(values, dict) or values.pop("format", None) != _INFO_FORMAT:
        raise ValueError(f"not a {_INFO_FORMAT} description")
    return TokenizerInfo(**{key: values[key] for key in TokenizerInfo.__dataclass_fields__})


def _normalizer(options: NormalizeOptions) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = [normalizers.NFC()]
    if options.strip_zwsp:
        steps.append(normalizers.Replace(Regex(ZWSP_BESIDE_KHMER), ""))
    if options.strip_ignorables:
        steps.append(normalizers.Replace(chr(cp.BOM), ""))
    if options.coeng_da == "fold":
        steps.append(normalizers.Replace(Regex(COENG_DA), _COENG_TA))
    return normalizers.Sequence(steps)


def _json(value: object) -> bytes:
    return orjson.dumps(
        value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    )
