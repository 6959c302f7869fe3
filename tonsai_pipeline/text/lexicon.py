"""Lists of frequent words -> how often each text uses each list.

Khmer writes no spaces between words, so a word is looked for as a run of whole clusters: it is
found inside a phrase and never inside a letter. Words of languages that write spaces are looked
for as whole words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tonsai_pipeline.compiled import kernel
from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text.clusters import NO_UNIT, next_unit
from tonsai_pipeline.text.tally import (
    ENDING_SHIFT,
    MAX_UNITS,
    NUM_SLOTS,
    WHOLE,
    Tally,
    join_hashes,
    tally_texts,
    unit_hash,
)
from tonsai_pipeline.text.utf8 import Texts, Utf8Batch, batch_of_arrow, batch_of_text, frozen


class Lexicon:
    """Some lists of words, ready to be counted.

    Args:
        words: list name -> its words. A word has at most `MAX_UNITS` clusters.
        spaced: names of lists whose words count only between spaces or khans.

    Raises:
        ValueError: a word of no unit or of too many, or more than 63 lists or 2,000 words.

    Examples:
        >>> import pyarrow as pa
        >>> lexicon = Lexicon({"khm": ["បាន", "នៅ"], "eng": ["the"]})
        >>> lexicon.count(pa.array(["គាត់បាននៅផ្ទះ", "The other one"])).tolist()
        [[2, 0], [0, 1]]
    """

    def __init__(self, words: Mapping[str, Sequence[str]], spaced: Sequence[str] = ()) -> None:
        self.names = tuple(words)
        self._keys = np.zeros(NUM_SLOTS, dtype=np.uint64)
        self._lists = np.zeros(NUM_SLOTS, dtype=np.uint64)
        # By the hash of a unit: bit n - 1 where a word of n units ends with it. Few units need a look-up.
        self._endings = np.zeros(NUM_SLOTS, dtype=np.uint8)
        if len(words) > 63 or sum(map(len, words.values())) > NUM_SLOTS // 2:
            raise ValueError("a lexicon holds at most 63 lists and 2,000 words")
        for index, (name, entries) in enumerate(words.items()):
            bits = np.uint64(1 << index) | (WHOLE if name in spaced else np.uint64(0))
            for word in entries:
                self._add(word, bits)
        self._keys, self._lists, self._endings = map(
            frozen, (self._keys, self._lists, self._endings)
        )

    def count(self, texts: Texts) -> npt.NDArray[np.int32]:
        """Return how often each text uses each list, shape (num_texts, num_lists)."""
        return self.tally(batch_of_arrow(texts)).listed

    def tally(self, batch: Utf8Batch) -> Tally:
        """Count, beside the words of the lists, all that `tally` counts, in a batch of valid UTF-8."""
        tables = ch.character_kinds(), self._keys, self._lists, self._endings
        return Tally(*tally_texts(*batch, *tables, len(self.names)))

    def _add(self, word: str, bits: np.uint64) -> None:
        data = batch_of_text(word).data
        key, num_units, last = _key_of_word(data, ch.character_kinds())
        if not 1 <= num_units <= MAX_UNITS:
            raise ValueError(f"{word!r} has {num_units} units; a lexicon takes 1 to {MAX_UNITS}")
        slot = int(key) % NUM_SLOTS
        while self._keys[slot] not in (0, key):
            slot = (slot + 1) % NUM_SLOTS
        self._keys[slot] = key
        self._lists[slot] |= bits
        self._endings[last >> ENDING_SHIFT] |= 1 << (num_units - 1)


@kernel
def _key_of_word(data, kinds):
    """Return the key of a word, its number of units, and the hash of the last one."""
    start, stop, kind = next_unit(data, np.int64(0), len(data), kinds)
    key, num_units, last = np.uint64(0), 0, np.uint64(0)
    while kind != NO_UNIT:
        last = unit_hash(data, start, stop)
        key = join_hashes(key, last)
        num_units += 1
        start, stop, kind = next_unit(data, stop, len(data), kinds)
    return key, num_units, last
