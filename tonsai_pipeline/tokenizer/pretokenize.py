"""Text -> words: the pieces inside which tokens may grow, cut so that no Khmer cluster is ever cut.

GPT-2's pattern takes runs of letters, and half of Khmer is marks, not letters: it cuts inside clusters, and
no merge can mend that afterwards. Here a word is a run of letters *and* marks; a digit is a word by itself.
"""

from __future__ import annotations

import regex

from tonsai_pipeline.text import codepoints as cp

#: Words, for the `regex` module and for Oniguruma (inside tokenizer.json) alike. One sign or space may lead a word;
#: digits of any script, Khmer ones too, stand alone.
#: Source: the pattern that llama.cpp and the fast encoders know as `qwen35`, letter for letter: with it a GGUF file has
#: the same ids. What it costs: a joiner (ZWNJ, ZWJ) is no letter and no mark, so it begins a new word where it
#: stands inside a cluster; docs/tokenizer.md says how seldom.
WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)
#: The words of Qwen2 and Qwen3: ours, but for marks, which end a word. Source: Qwen's tokenizer.json.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: GPT-2's words, the default of `ByteLevel` in `tokenizers`; only for comparison.
#: Source: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), their code.
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

_COENG = chr(cp.COENG)
_BASES = f"{chr(cp.KHMER_FIRST)}-{chr(cp.INHERENT_AQ - 1)}"
_MARKS = (
    f"{chr(cp.INHERENT_AQ)}-{chr(cp.VIRIAM)}{chr(cp.BATHAMASAT)}{chr(cp.ATTHACAN)}"
    f"{chr(cp.ZWNJ)}{chr(cp.ZWJ)}"
)
#: A Khmer orthographic cluster: a base, then subscripts (coeng + base) and marks in any order.
CLUSTER_PATTERN = f"[{_BASES}](?:{_COENG}[{_BASES}]|[{_MARKS}])*"

_WORDS = regex.compile(WORD_PATTERN)
_GPT2_WORDS = regex.compile(GPT2_PATTERN)
CLUSTERS = regex.compile(CLUSTER_PATTERN)


def split_words(text: str) -> list[str]:
    """Cut a text into words; joined again they are the text.

    Example:
        >>> split_words("I'm 42, ok")
        ['I', "'m", ' ', '4', '2', ',', ' ok']
        >>> split_words("ខ្មែរ ១២")
        ['ខ្មែរ', ' ', '១', '២']
    """
    return _WORDS.findall(text)


def split_words_gpt2(text: str) -> list[str]:
    """Cut a text as GPT-2 does, for comparison.

    Example:
        >>> len(split_words_gpt2("ខ្មែរ"))
        5
    """
    return _GPT2_WORDS.findall(text)


def cluster_pieces(cluster: str) -> list[str]:
    """Cut a cluster into its base, its subscripts (coeng and consonant together) and its marks.

    Example:
        >>> cluster_pieces("ស្ត្រី") == ["ស", "្ត", "្រ", "ី"]
        True
    """
    pieces, at = [], 0
    while at < len(cluster):
        length = 2 if cluster[at] == _COENG and at + 1 < len(cluster) else 1
        pieces.append(cluster[at : at + length])
        at += length
    return pieces
