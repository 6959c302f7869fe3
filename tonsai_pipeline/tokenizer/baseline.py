"""GPT-2's way on the same words, for comparison: what Khmer costs when words are cut inside clusters."""

from __future__ import annotations

from collections.abc import Mapping

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tonsai_pipeline.tokenizer.alphabet import BYTE_CHARS, to_byte_chars
from tonsai_pipeline.tokenizer.bpe import learn_merges


def train_gpt2(words: Mapping[str, int], vocab_size: int) -> Tokenizer:
    """Train byte-level BPE with GPT-2's words, as `ByteLevel()` of `tokenizers` does by default.

    Args:
        words: How often each of GPT-2's words occurs (see `pretokenize.split_words_gpt2`).
        vocab_size: Tokens at most.
    """
    vocab = {char: place for place, char in enumerate(BYTE_CHARS)}
    merges = learn_merges(
        ((to_byte_chars(word), words[word]) for word in sorted(words)), vocab_size - len(vocab)
    )
    for left, right in merges:
        vocab.setdefault(left + right, len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
