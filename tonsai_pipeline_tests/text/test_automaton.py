"""The automaton finds every syllable that repair would change, and few others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings

from tonsai_pipeline.text import NormalizeOptions, automaton, normalize, normalize_batch
from tonsai_pipeline.text import codepoints as cp
from tonsai_pipeline_tests.text.samples import khmer_text

PLAIN = automaton.transition_table(fold_coeng_da=False)
FOLDING = automaton.transition_table(fold_coeng_da=True)
SYMBOLS = automaton.symbol_table()


def _is_flagged(text: str, table: np.ndarray) -> bool:
    state = automaton.OUT
    for character in text:
        point = ord(character)
        if cp.KHMER_FIRST <= point <= cp.KHMER_LAST:
            symbol = SYMBOLS[point - cp.KHMER_FIRST]
        else:
            symbol = {cp.ZWNJ: automaton.ZWNJ, cp.ZWJ: automaton.ZWJ}.get(point, automaton.FOREIGN)
        state = int(table[state * automaton.NUM_SYMBOLS + symbol])
        if state >= automaton.DIRTY:
            return True
    return False


@settings(max_examples=200, deadline=None)
@given(khmer_text)
def test_text_that_the_automaton_passes_is_already_normal(text: str) -> None:
    plain = NormalizeOptions(strip_zwsp=False, strip_joiners=False, fold_deprecated=False)
    preserve = NormalizeOptions(**{**vars(plain), "coeng_da": "preserve"})
    composed = normalize(
        text, NormalizeOptions(**{**vars(preserve), "collapse_duplicate_marks": False})
    )
    for words in (text, composed):
        if not _is_flagged(words, FOLDING):
            assert normalize(words, plain) == normalize(words, preserve)
        if not _is_flagged(words, PLAIN) and "\u17dd\u17d2" not in words:
            assert normalize(words, preserve) == words


def test_the_automaton_flags_few_syllables_of_real_text(real_text: dict[str, list[str]]) -> None:
    texts = pa.array(real_text["khm/wikipedia"][:200])
    normal = "".join(normalize_batch(texts).to_pylist())
    flagged = sum(_is_flagged(piece, FOLDING) for piece in normal.split())
    assert flagged <= 0.002 * len(normal.split())


def test_every_state_has_a_way_for_every_symbol() -> None:
    for table in (PLAIN, FOLDING):
        assert table.shape == (automaton.NUM_STATES * automaton.NUM_SYMBOLS,)
        assert table.max() < automaton.NUM_STATES
