"""The symbols BPE starts from: text <-> bytes written as printable characters, or characters and byte tokens.

"byte": ខ ──▶ á ŀ ķ (three of 256 characters, one a byte)          any text is a string of these
"char": ខ ──▶ ខ ; a rare character ──▶ <0xF0> <0x9F> ...           byte tokens, a byte each
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
from tokenizers import Tokenizer, pre_tokenizers

AlphabetName = Literal["byte", "char"]


def _byte_chars() -> tuple[str, ...]:
    """Return the character of each byte: printable Latin-1 as it is, the others from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    chars = tuple(chr(byte if byte in printable else next(others)) for byte in range(256))
    if set(chars) != set(pre_tokenizers.ByteLevel.alphabet()):
        raise ValueError("tokenizers writes bytes with other characters than GPT-2 did")
    return chars


#: The character that stands for each byte. Source: Radford et al. 2019, GPT-2's `bytes_to_unicode`.
BYTE_CHARS = _byte_chars()


class _CharBytes(dict[int, int]):
    """Code points of the characters to their bytes; what stands for none is no byte."""

    def __missing__(self, key: int) -> int:
        raise ValueError(f"{chr(key)!r} stands for no byte")


_CHAR_BYTES = _CharBytes({ord(char): byte for byte, char in enumerate(BYTE_CHARS)})
#: What each byte token is called under "char", the name `tokenizers` looks for.
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))
_TOKEN_BYTES = {token: bytes([byte]) for byte, token in enumerate(BYTE_TOKENS)}


def to_byte_chars(text: str) -> str:
    """Write the UTF-8 bytes of a text as characters.

    Example:
        >>> to_byte_chars("a é")
        'aĠÃ©'
    """
    return "".join(BYTE_CHARS[byte] for byte in text.encode())


def from_byte_chars(symbols: str) -> bytes:
    """Return the bytes that `to_byte_chars` wrote.

    Raises:
        ValueError: A character stands for no byte.
    """
    return symbols.translate(_CHAR_BYTES).encode("latin-1")


def token_bytes(token: str, alphabet: AlphabetName) -> bytes:
    """Return the bytes of text that a token stands for."""
    if alphabet == "byte":
        return from_byte_chars(token)
    return _TOKEN_BYTES.get(token) or token.encode()


def num_chars(data: bytes) -> int:
    """Count the code points that begin in a stretch of UTF-8, which may be cut anywhere.

    Example:
        >>> num_chars("aé".encode()), num_chars("é".encode()[1:])
        (2, 0)
    """
    array: npt.NDArray[np.uint8] = np.frombuffer(data, dtype=np.uint8)
    return int(np.count_nonzero((array & 0xC0) != 0x80))


def frequent_chars(words: Mapping[str, int], min_count: int) -> list[str]:
    """Return the characters that occur at least `min_count` times, by code point."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for char in word:
            counts[char] += count
    return sorted(char for char, count in counts.items() if count >= min_count)


def byte_level_state(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the content of tokenizer.json.

    Raises:
        ValueError: The tokenizer is not byte-level BPE.
    """
    state: dict[str, Any] = orjson.loads(tokenizer.to_str())
    if state["model"]["type"] != "BPE" or "ByteLevel" not in str(state["pre_tokenizer"]):
        raise ValueError(
            f"only byte-level BPE can be extended or pruned, this is {state['model']['type']}; train a new tokenizer"
        )
    return state


def is_byte_level(tokenizer: Tokenizer) -> bool:
    """Return whether a tokenizer's tokens are bytes written as `to_byte_chars` writes them."""
    return "ByteLevel" in str(tokenizer.pre_tokenizer)
