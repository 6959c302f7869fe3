"""A tokenizer and held-out texts -> how well it cuts them: bytes per token, cuts inside clusters, round trip.

texts by language ──measure──▶ Fertility per language ──▶ parity of Khmer and English
tokenizer ──vocabulary──▶ tokens by script, the longest Khmer tokens
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import orjson
from tokenizers import Encoding, Tokenizer

from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline.tokenizer.alphabet import from_byte_chars, token_bytes
from tonsai_pipeline.tokenizer.pretokenize import CLUSTERS

#: Texts that are cut at a time: what `tokenizers` says of a token takes some hundred bytes.
_BATCH = 64
_KHMER = re.compile(f"[{chr(cp.KHMER_FIRST)}-{chr(cp.KHMER_LAST)}]")


@dataclass(frozen=True)
class Fertility:
    """How a tokenizer cuts some texts.

    Args:
        num_texts: Texts measured.
        num_tokens: Their tokens, without begin and end of text.
        num_bytes: UTF-8 bytes of the texts.
        num_chars: Code points.
        bytes_per_token: Text a token holds; more is better.
        chars_per_token: The same in code points.
        tokens_per_cluster: Tokens per Khmer cluster, counting tokens that begin in Khmer text; None without Khmer.
        inside_cluster_frac: Share of tokens that begin inside a Khmer cluster.
        inside_char_frac: Share of tokens that begin inside a UTF-8 character.
        num_changed: Texts that do not come back as they were.
    """

    num_texts: int
    num_tokens: int
    num_bytes: int
    num_chars: int
    bytes_per_token: float
    chars_per_token: float
    tokens_per_cluster: float | None
    inside_cluster_frac: float
    inside_char_frac: float
    num_changed: int


@dataclass(frozen=True)
class VocabularyReport:
    """What a vocabulary is made of.

    Args:
        tokens_by_script: "khmer", "latin", "digits and signs", "other", "parts of characters", "special".
        longest_khmer: The longest Khmer tokens, longest first.
    """

    tokens_by_script: dict[str, int]
    longest_khmer: list[str]


def measure(tokenizer: Tokenizer, texts: Sequence[str]) -> Fertility:
    """Cut texts and count.

    Raises:
        ValueError: There are no texts, or they are all empty.
    """
    num_tokens = num_changed = in_cluster = in_char = in_khmer = num_clusters = 0
    for text, encoding in zip(texts, encode_texts(tokenizer, texts), strict=True):
        num_tokens += len(encoding.ids)
        cuts = _count_cuts(text, encoding)
        in_cluster, in_char = in_cluster + cuts[0], in_char + cuts[1]
        in_khmer, num_clusters = in_khmer + cuts[2], num_clusters + cuts[3]
        num_changed += tokenizer.decode(encoding.ids, skip_special_tokens=False) != text
    if num_tokens == 0:
        raise ValueError("no text to measure")
    num_bytes = sum(len(text.encode()) for text in texts)
    num_chars = sum(len(text) for text in texts)
    return Fertility(
        num_texts=len(texts),
        num_tokens=num_tokens,
        num_bytes=num_bytes,
        num_chars=num_chars,
        bytes_per_token=num_bytes / num_tokens,
        chars_per_token=num_chars / num_tokens,
        tokens_per_cluster=in_khmer / num_clusters if num_clusters else None,
        inside_cluster_frac=in_cluster / num_tokens,
        inside_char_frac=in_char / num_tokens,
        num_changed=num_changed,
    )


@dataclass(frozen=True)
class Parity:
    """How many tokens Khmer and English need to say the same.

    Args:
        num_pairs: Pairs of texts.
        khm_tokens: Tokens of the Khmer texts.
        eng_tokens: Tokens of the English ones.
        ratio: Khmer tokens for each English token; 1 is fair.
    """

    num_pairs: int
    khm_tokens: int
    eng_tokens: int
    ratio: float


def measure_parity(tokenizer: Tokenizer, khm: Sequence[str], eng: Sequence[str]) -> Parity:
    """Compare the tokens of texts that are translations of each other.

    Raises:
        ValueError: There is not one English text for each Khmer one, or no text at all.
    """
    if len(khm) != len(eng):
        raise ValueError(f"{len(khm)} Khmer and {len(eng)} English texts are no pairs")
    tokens = [
        sum(len(encoding.ids) for encoding in encode_texts(tokenizer, texts))
        for texts in (khm, eng)
    ]
    if tokens[1] == 0:
        raise ValueError("no text to measure")
    return Parity(len(khm), tokens[0], tokens[1], tokens[0] / tokens[1])


def describe_vocabulary(tokenizer: Tokenizer, *, num_longest: int = 20) -> VocabularyReport:
    """Count tokens by script and find the longest Khmer ones."""
    special = {added.content for added in tokenizer.get_added_tokens_decoder().values()}
    counts: Counter[str] = Counter()
    khmer = []
    for token, text in token_texts(tokenizer).items():
        script = "special" if token in special else _script(text)
        counts[script] += 1
        if script == "khmer":
            khmer.append(cast("str", text).strip())
    khmer.sort(key=lambda text: (-len(text), text))
    return VocabularyReport(dict(sorted(counts.items())), khmer[:num_longest])


def most_frequent_khmer(
    tokenizer: Tokenizer, texts: Sequence[str], *, num_most: int = 20
) -> list[tuple[str, int]]:
    """Return the Khmer tokens that occur most often in some texts, with their counts."""
    counts: Counter[int] = Counter()
    for encoding in encode_texts(tokenizer, texts):
        counts.update(encoding.ids)
    texts_of = tokenizer.decode_batch([[number] for number in counts], skip_special_tokens=False)
    khmer = [
        (text, count)
        for text, count in zip(texts_of, counts.values(), strict=True)
        if "\ufffd" not in text and _script(text) == "khmer"
    ]
    return sorted(khmer, key=lambda item: (-item[1], item[0]))[:num_most]


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[Encoding]:
    """Cut texts without begin and end of text; a special token written in a text is only text."""
    for start in range(0, len(texts), _BATCH):
        tokenizer.encode_special_tokens = True
        try:
            batch = tokenizer.encode_batch(
                list(texts[start : start + _BATCH]), add_special_tokens=False
            )
        finally:
            tokenizer.encode_special_tokens = False
        yield from batch


def token_texts(tokenizer: Tokenizer) -> dict[str, str | None]:
    """Return the text of every token, None for a part of a character."""
    texts: dict[str, str | None] = {}
    for token, data in vocabulary_bytes(tokenizer).items():
        try:
            texts[token] = data.decode()
        except UnicodeDecodeError:
            texts[token] = None
    return texts


def vocabulary_bytes(tokenizer: Tokenizer) -> dict[str, bytes]:
    """Return the bytes of text that every token stands for; special tokens stand for none."""
    added = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    vocab = tokenizer.get_vocab(with_added_tokens=True)
    tokens = sorted(vocab, key=vocab.__getitem__)
    plain = [token for token in tokens if token not in added]
    if "ByteLevel" in str(tokenizer.decoder):
        # Together: a call for each of them takes ten times as long.
        data, ends = from_byte_chars("".join(plain)), np.cumsum([len(token) for token in plain])
        pieces = [data[a:b] for a, b in itertools.pairwise([0, *ends.tolist()])]
    else:
        pieces = list(map(_text_of, plain))
    found = dict(zip(plain, pieces, strict=True)) | {
        token: b"" if one.special else token.encode() for token, one in added.items()
    }
    return {token: found[token] for token in tokens}


def token_lengths(tokenizer_json: bytes | str) -> npt.NDArray[np.int32]:
    """Return the bytes of text of each id, shape (vocab_size,); ids without a token have 0.

    Read from the file: to open the tokenizer for it takes ten times as long.

    Args:
        tokenizer_json: The content of tokenizer.json.
    """
    state: dict[str, Any] = orjson.loads(tokenizer_json)
    vocab = state["model"]["vocab"]
    if isinstance(vocab, list):  # of Unigram: pairs of token and score
        vocab = {token: number for number, (token, _) in enumerate(vocab)}
    # A token of bytes has a character for each.
    is_bytes = b"ByteLevel" in orjson.dumps(state["decoder"])
    sizes = map(len, vocab if is_bytes else map(_text_of, vocab))
    added = {
        one["id"]: 0 if one["special"] else len(one["content"].encode())
        for one in state["added_tokens"]
    }
    lengths = np.zeros(max(*vocab.values(), *added) + 1, dtype=np.int32)
    lengths[list(vocab.values())] = list(sizes)
    lengths[list(added)] = list(added.values())
    return lengths


def _text_of(token: str) -> bytes:
    """Return the bytes of a token that is written in characters; the word-boundary sign of SentencePiece is a space."""
    return token_bytes(token, "char").replace("\u2581".encode(), b" ")


def _count_cuts(text: str, encoding: Encoding) -> tuple[int, int, int, int]:
    """Count tokens that begin inside a cluster, inside a character, in Khmer; and Khmer clusters."""
    inside = np.zeros(len(text) + 1, dtype=bool)
    khmer = np.zeros(len(text) + 1, dtype=bool)
    num_clusters = 0
    for match in CLUSTERS.finditer(text):
        inside[match.start() + 1 : match.end()] = True
        khmer[match.start() : match.end()] = True
        num_clusters += 1
    starts = np.array([start for start, _ in encoding.offsets], dtype=np.int64)
    ends = np.array([end for _, end in encoding.offsets], dtype=np.int64)
    # A character cut into bytes gives each of its tokens the same offsets.
    again = np.zeros(len(starts), dtype=bool)
    again[1:] = (starts[1:] < ends[:-1]) & (starts[1:] == starts[:-1])
    in_char = int(again.sum())
    return (
        int((inside[starts] | (again & khmer[starts])).sum()),
        in_char,
        int(khmer[starts].sum()),
        num_clusters,
    )


def _script(text: str | None) -> str:
    if text is None:
        return "parts of characters"
    if _KHMER.search(text):
        return "khmer"
    letters = [char for char in text if char.isalpha()]
    if letters:
        return "latin" if max(letters) < "\u0250" else "other"
    return "digits and signs" if max(text.strip(), default="") < "\u2070" else "other"
