"""Texts that tokenizers are tried with."""

from __future__ import annotations

from hypothesis import strategies as st

#: Anything a keyboard or a broken file may give: Khmer marks in any order, joiners, emoji, rare scripts.
any_text = st.text(
    st.one_of(
        st.characters(min_codepoint=0x1780, max_codepoint=0x17FF),
        st.sampled_from("\u200c\u200d\u17d2\u17d2 \n\r\t.,'s19éสกข中🙂"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)
