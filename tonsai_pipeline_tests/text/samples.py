"""What the tests of this package share: alphabets for hypothesis, and words of our own."""

from __future__ import annotations

from hypothesis import strategies as st

COENG, ZWSP, ZWNJ, ZWJ = "\u17d2", "\u200b", "\u200c", "\u200d"

KHMER = [chr(code_point) for code_point in range(0x1780, 0x17DE)]
#: Characters on which the rules turn, so that short random strings meet them.
TELLING = list(
    "\u1780\u1784\u1794\u179a\u179f\u178a\u178f\u17d2\u17d2\u17d2\u17c1\u17c2\u17b8\u17b6\u17bb\u17be"
    "\u17c6\u17c9\u17ca\u17d0\u17dd\u17cc\u17cb\u17c7\u200b\u200c\u200d"
)
FOREIGN = list(
    "aZ 1.\n-e\u00e9\u0301\u0316\u00a0\u00ad\ufeff\u2028\u0e01\u0e38\u25cc\u17d4\u17e1\u17d8\u17a3\u17a4"
    "\u17b4\u1161\u1100\U0001f469\U0001f3fd\u2640\u0627\u4eba"
)

#: Khmer marks and bases, joiners, and a little of everything that stands beside Khmer.
khmer_text = st.text(st.sampled_from(TELLING + KHMER), max_size=16)
mixed_text = st.text(st.sampled_from(TELLING * 2 + KHMER + FOREIGN * 2), max_size=24)
any_text = st.one_of(mixed_text, khmer_text, st.text(max_size=24))

#: A sentence each, written for these tests.
KHMER_SENTENCE = "ថ្ងៃនេះខ្ញុំបានទៅផ្សារជាមួយម្តាយ ហើយទិញត្រីនិងបន្លែដែលនៅស្រស់។"
ENGLISH_SENTENCE = "My mother and I went to the market this morning, and we bought fish."
