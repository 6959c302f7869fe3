"""Training, measured on a CPU: the starter kit's way against ours on the same real text, and the loader.

    uv run python -m benchmarks.train --data FOLDER [--json] [--only ways,loader,extended]

ways: one document a row, cut and padded to the context, tokenized as it is read, against packed rows with masked
documents; the same network, optimizer, rows a step and precision, in turns in one process. loader: how fast one
thread makes packed rows ready, and which share of a step the network waits for it. extended: a small base model
whose tokenizer grows by Khmer tokens, and where training begins with each kind of first embeddings.

FOLDER holds `khm/*.jsonl.gz` and `eng/*.jsonl.gz` (field `text`). The numbers of the last run are in
docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks import sections
from benchmarks.show import show

SECTIONS = ("ways", "loader", "extended")

#: Speed of the starter kit's network on one H200 at 50 % MFU, for the loader's share there (docs/training.md).
H200_TOKENS_PER_S = 90_900


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    sections.add_option(parser, SECTIONS)
    parser.add_argument("--seq-lens", default="512,2048", help="row lengths, by comma")
    parser.add_argument("--rows", type=int, default=8, help="rows of a step")
    parser.add_argument("--steps", type=int, default=6, help="measured steps of a turn")
    parser.add_argument("--turns", type=int, default=2, help="turns of each way")
    parser.add_argument(
        "--base-steps", type=int, default=1000, help="steps of the base model of `extended`"
    )
    parser.add_argument("--vocab-size", type=int, default=8192, help="tokens")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args()
    chosen = sections.chosen(parser, options.only, SECTIONS)
    seq_lens = [int(length) for length in options.seq_lens.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        results = measure(options, Path(folder), seq_lens, chosen)
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        for name, result in results.items():
            show(name, result)
    sys.stdout.flush()


def measure(
    options: argparse.Namespace, work: Path, seq_lens: list[int], chosen: list[str]
) -> dict[str, object]:
    from benchmarks.train import corpus
    from benchmarks.train.network import network

    results: dict[str, object] = {}
    if "extended" in chosen:
        from benchmarks.train import extended

        results["extended"] = extended.measure(
            options.data, work / "extended", network(), base_steps=options.base_steps, steps=10
        )
    if chosen == ["extended"]:
        return results
    texts = corpus.build(options.data, work, seq_lens=seq_lens, vocab_size=options.vocab_size)
    for seq_len in seq_lens:
        if "ways" in chosen:
            results[f"ways, rows of {seq_len}"] = ways(options, work, texts, seq_len)
        if "loader" in chosen:
            results[f"loader, rows of {seq_len}"] = loader(options, work, texts, seq_len)
    return results


def ways(options: argparse.Namespace, work: Path, texts, seq_len: int) -> dict[str, object]:
    """Both ways, in turns."""
    from benchmarks.train import packed, padded
    from benchmarks.train.network import network

    model, warmup = network(), 1
    documents = texts.shuffled(0)
    run = packed.describe(
        texts.shards[seq_len],
        texts.tokenizer_dir,
        work / f"run-{seq_len}",
        model,
        seq_len=seq_len,
        rows=options.rows,
        num_steps=warmup + options.steps,
    )
    theirs, ours = padded.Steps(), padded.Steps()
    per_turn = (warmup + options.steps) * options.rows
    for turn in range(options.turns):
        first = turn * per_turn
        theirs.extend(
            padded.train(
                documents[first : first + per_turn],
                texts.tokenizer_dir,
                model,
                seq_len=seq_len,
                rows=options.rows,
                num_steps=options.steps,
                warmup_steps=warmup,
                vocab_size=vocab_rows(texts, seq_len),
            )
        )
        ours.extend(packed.train(run, warmup_steps=warmup))
    kit, our = theirs.numbers(), ours.numbers()
    by_language = {
        lang: padded.coverage(found_texts, texts.tokenizer_dir, seq_len)
        for lang, found_texts in texts.documents.items()
    }
    # The measured steps hold a hundred documents; their lengths vary, so the speed is also taken over all.
    everything = padded.coverage(documents, texts.tokenizer_dir, seq_len)
    expected = everything["useful share of positions"] * kit["positions/s"]
    return {
        "padded, one document a row": kit | {"useful tokens/s, all documents": expected},
        "packed, documents masked": our,
        "ratio of useful tokens/s, measured steps": our["useful tokens/s"] / kit["useful tokens/s"],
        "ratio of useful tokens/s, all documents": our["useful tokens/s"] / expected,
        "rows of one document": by_language | {"both": everything},
    }


def loader(options: argparse.Namespace, work: Path, texts, seq_len: int) -> dict[str, float]:
    """The loader alone; its share of a step stands in `ways`."""
    from benchmarks.train import packed
    from benchmarks.train.network import network

    run = packed.describe(
        texts.shards[seq_len],
        texts.tokenizer_dir,
        work / "loader",
        network(),
        seq_len=seq_len,
        rows=options.rows,
        num_steps=200,
    )
    alone = packed.loader_alone(run, num_steps=200)
    return alone | {
        f"busy share at {H200_TOKENS_PER_S:,} tokens/s": H200_TOKENS_PER_S
        / alone["tokens/s of one thread"]
    }


def vocab_rows(texts, seq_len: int) -> int:
    from tonsai_pipeline.storage.shards import RowReader

    return RowReader(texts.shards[seq_len] / "train").vocab_size


if __name__ == "__main__":
    main()
