"""No source and no phrase fills a vocabulary: shares are capped by source, tokens by clusters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonsai_pipeline.text import clusters
from tonsai_pipeline.tokenizer.bpe import BpeOptions, train_bpe
from tonsai_pipeline.tokenizer.sample import cap_shares


@given(
    st.lists(
        st.tuples(st.sampled_from(["khm", "eng"]), st.floats(0.001, 1)), min_size=1, max_size=8
    ),
    st.floats(0.05, 1),
)
def test_no_source_gives_more_than_its_part_and_languages_keep_theirs(
    given_shares: list[tuple[str, float]], max_frac: float
) -> None:
    shares = {f"s{i}": share for i, (_, share) in enumerate(given_shares)}
    languages = {f"s{i}": language for i, (language, _) in enumerate(given_shares)}
    capped = cap_shares(shares, languages, max_frac)
    for language in set(languages.values()):
        names = [name for name in shares if languages[name] == language]
        total = sum(shares[name] for name in names)
        assert sum(capped[name] for name in names) == pytest.approx(total)
        most = max(max_frac, 1 / len(names)) * total
        assert all(capped[name] <= most + 1e-9 for name in names)


def test_shares_within_the_cap_stay() -> None:
    shares = {"a": 0.3, "b": 0.3, "e": 0.4}
    assert cap_shares(shares, {"a": "khm", "b": "khm", "e": "eng"}, 0.5) == shares


@pytest.mark.parametrize("most", [2, 4, 8])
def test_no_token_has_more_clusters_than_the_cap(most: int) -> None:
    words = {
        "\u178f\u17d2\u179a\u17bc\u179c\u1794\u17b6\u1793\u1794\u1793\u17d2\u179b\u17b7\u1785\u1780\u17d2\u1793\u17bb\u1784\u17af\u1780\u179f\u17b6\u179a": 500
    }
    model = train_bpe(words, BpeOptions(vocab_size=700, alphabet="char", max_token_clusters=most))
    lengths = [len(clusters(token)) for token in model.vocab]
    free = train_bpe(words, BpeOptions(vocab_size=700, alphabet="char", max_token_clusters=99))
    assert 1 < max(lengths) <= most < max(len(clusters(token)) for token in free.vocab)
