"""A tokenizer that is no phrase book: bytes per token, unused tokens and parity by what one source may give.

    sources ──cap_shares, plan_sample──▶ words as often as a recipe counts them ──▶ tokenizers ──▶ on text that none has seen

`held out` trains on every file but web_oscar and the odd news, so that two kinds and half a third are new; `all` on every
file without junk, as the product would. NTREX-128 is never trained on.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks import texts
from benchmarks.tokenize_pack.tokenizers import train
from tonsai_pipeline.recipe.tokenizer import SampleConfig
from tonsai_pipeline.text import clusters
from tonsai_pipeline.tokenizer.fertility import measure as cut
from tonsai_pipeline.tokenizer.fertility import token_texts
from tonsai_pipeline.tokenizer.pretokenize import split_words
from tonsai_pipeline.tokenizer.sample import cap_shares, plan_sample

_CAPS = {"no caps": (1.0, 256), "0.5, 8 clusters": (0.5, 8), "0.5, 6 clusters": (0.5, 6)}
_CONTENT = {"khm": 1 / SampleConfig().khmer_bytes_per_content_byte, "eng": 1.0}


def measure(data: Path, vocab_size: int) -> dict[str, object]:
    """Return a row for each choice of text and caps."""
    sources = {
        f"{lang}/{path.name.removesuffix('.jsonl.gz')}": texts.read(path)
        for lang in ("khm", "eng")
        for path in texts.files(data, lang)
        if not path.name.startswith((texts.JUNK, texts.EVALUATION))
    }
    held_out = {"web_oscar": sources["khm/web_oscar"], "news, odd": sources["khm/news"][1::2]}
    seen = {name: said for name, said in sources.items() if name != "khm/web_oscar"}
    seen["khm/news"] = seen["khm/news"][::2]
    parallel = texts.parallel(data)
    found: dict[str, object] = {}
    for label, corpus, unseen in (("held out", seen, held_out), ("all", sources, {})):
        counts = {name: _count(said) for name, said in corpus.items()}
        for name, (max_frac, max_clusters) in _CAPS.items():
            words = _sample(corpus, counts, max_frac)
            tokenizer = train(words, vocab_size, max_token_clusters=max_clusters)
            found[f"{label}; {name}"] = _row(tokenizer, parallel, unseen)
    return found


def _count(said: list[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in said:
        counts.update(split_words(text))
    return counts


def _sample(
    corpus: dict[str, list[str]], counts: dict[str, Counter[str]], max_frac: float
) -> Counter[str]:
    """Count words as often as the sample of a recipe would: sources by size, half of the content in each language."""
    languages = {name: name[:3] for name in corpus}
    content = {
        name: sum(len(text.encode()) for text in said) * _CONTENT[languages[name]]
        for name, said in corpus.items()
    }
    total = {
        lang: sum(content[name] for name in corpus if languages[name] == lang) for lang in _CONTENT
    }
    shares = {name: content[name] / total[languages[name]] / 2 for name in corpus}
    sample = SampleConfig()
    plan = plan_sample(
        content,
        cap_shares(shares, languages, max_frac),
        max_content_bytes=sample.max_content_bytes,
        max_repeats=sample.max_repeats,
    )
    words: Counter[str] = Counter()
    for name, (frac, repeats) in plan.items():
        for word, times in counts[name].items():
            words[word] += round(times * frac * repeats)
    return +words


def _row(
    tokenizer: Tokenizer, parallel: dict[str, list[str]], unseen: dict[str, list[str]]
) -> dict[str, float]:
    khm, eng = cut(tokenizer, parallel["khm"]), cut(tokenizer, parallel["eng"])
    row = {
        "ntrex khm bytes/token": khm.bytes_per_token,
        "ntrex eng bytes/token": eng.bytes_per_token,
        "parity": khm.num_tokens / eng.num_tokens,
    }
    row |= {
        f"{name} bytes/token": cut(tokenizer, said).bytes_per_token for name, said in unseen.items()
    }
    measured = [*parallel["khm"], *(text for said in unseen.values() for text in said)]
    used = {token for encoding in tokenizer.encode_batch(measured) for token in encoding.tokens}
    khmer = [
        token for token, text in token_texts(tokenizer).items() if text and len(clusters(text))
    ]
    row["unused khm tokens"] = sum(token not in used for token in khmer) / len(khmer)
    return row
