"""First embeddings of new tokens that are learned: by the base's hidden states, or by the loss of training.

    uv run python -m benchmarks.train.first_embeddings --data FOLDER [--json] [--sample 1] [--seeds 1] [--base-steps 1500]
        [--learn 50] [--steps 50]

A base model (2,048 tokens from English and a tenth of the Khmer) gets 2,000 Khmer tokens, whose rows begin as the means of
their pieces. Then these rows alone learn: `hidden states` so that after each token the network's last hidden state is the
base's after the same text in its own tokens (Token Distillation, arXiv:2505.20133), `loss` the next token, as
`train.freeze: new_embeddings` does. What follows is training as usual. Sample 0 of the documents trains the base; another
one is what tokens are learned on, training goes on with, and is held out. The numbers of the last run are in docs/training.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone knows
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModelForCausalLM

from benchmarks import texts
from benchmarks.show import add_options, say
from benchmarks.tokenize_pack import prepared
from benchmarks.train.packed import NEVER, train_on
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.model.build import build_model, save_model
from tonsai_pipeline.model.embeddings import compare_tokens
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.storage.job_folder import METRICS_NAME, read_metrics
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.tokenizer.alphabet import from_byte_chars
from tonsai_pipeline.train.base_model import BaseReader
from tonsai_pipeline.train.spec import MODEL_NAME

NETWORK = ModelConfig(architecture="qwen3", num_layers=4, hidden_size=128, num_heads=4)
BASE_VOCAB, NEW_TOKENS, SEQ_LEN = 2048, 2000, 256
DOCUMENTS = {"khm": 5900, "eng": 3500}
#: Of a text that rows learn on; its base tokens must fit a row.
WINDOW, TEXTS_A_STEP, RATE = 120, 16, 3e-3
METHODS = ("hidden states", "loss")
Ids = npt.NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--sample", type=int, default=1, help="documents that are measured, 0 or 1")
    parser.add_argument("--seeds", type=int, default=1, help="orders of what rows learn on")
    parser.add_argument("--base-steps", type=int, default=1500, help="steps of the base model")
    parser.add_argument("--learn", type=int, default=50, help="steps of the rows alone")
    parser.add_argument("--steps", type=int, default=50, help="steps after that")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
    say("held-out bits per byte of Khmer and English by step", result, as_json=options.json)
    sys.stdout.flush()


def measure(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Return bits per byte by method and step, and the CPU time that the rows alone took."""
    engine = open_engine("local", num_workers=1)

    def builder(name: str, corpus: dict[str, list[str]], **tokenizer: Any) -> Builder:
        section, packing = {"compare_gpt2": False} | tokenizer, {"seq_len": SEQ_LEN}
        return prepared.open_builder(
            work / name, corpus, engine, hold_out_every=20, tokenizer=section, packing=packing
        )

    first, other = (_documents(options.data, sample) for sample in (0, options.sample))
    few = first | {"khm": first["khm"][: len(first["khm"]) // 10]}
    base_tokenizer = prepared.tokenizer(builder("few", few, vocab_size=BASE_VOCAB)).path
    base = builder("base", first, base=str(base_tokenizer))
    _train(base, NETWORK, work / "run", options.base_steps, 4e-3)
    longer = builder("longer", other, base=str(base_tokenizer), extend_khmer_tokens=NEW_TOKENS)
    rows = _Rows(prepared.shards(longer).path, prepared.tokenizer(longer).path, base_tokenizer)
    folder = work / "run" / MODEL_NAME
    after = {
        "subword_mean": _train(
            longer, ModelConfig(base=str(folder)), work / "mean", options.steps, 5e-4
        )
    }
    for method in METHODS:
        for seed in range(options.seeds):
            began, name = time.process_time(), f"{method}, seed {seed}"
            learned = _learn(folder, rows, work / f"{name} model", method, options.learn, seed)
            cpu_s = time.process_time() - began
            numbers = _train(
                longer, ModelConfig(base=str(learned)), work / name, options.steps, 5e-4
            )
            after[name] = numbers | {"CPU s of the rows alone": cpu_s}
            print(name, after[name], file=sys.stderr, flush=True)
    engine.close()
    return after


def _documents(data: Path, sample: int) -> dict[str, list[str]]:
    found, generator, chosen = texts.training(data), np.random.default_rng(7), {}
    for lang, number in DOCUMENTS.items():
        order = generator.permutation(len(found[lang]))[sample * number : (sample + 1) * number]
        chosen[lang] = [found[lang][i] for i in order]
    return chosen


def _train(
    builder: Builder, model: ModelConfig, output_dir: Path, num_steps: int, lr: float
) -> dict[str, Any]:
    train_on(
        builder,
        model,
        output_dir,
        num_steps=num_steps,
        optimizer={"lr": lr},
        schedule={"warmup_frac": 0.05, "decay_frac": 0.3 if model.base else 0.5},
        validation={"every_steps": 10 if model.base else NEVER, "max_rows": 16},
    )
    return {
        f"step {record['step']}": {lang: record[lang]["bits_per_byte"] for lang in DOCUMENTS}
        for record in read_metrics(output_dir / METRICS_NAME)
        if record["kind"] == "validation" and record["step"] in (0, 10, 50, num_steps)
    }


@dataclass(frozen=True)
class _Text:
    """A stretch of text in both tokenizers, and the places of tokens that end at the same byte."""

    ours: Ids
    theirs: Ids
    our_places: Ids
    their_places: Ids


class _Rows:
    """Texts with new tokens, in both tokenizers."""

    def __init__(self, shards: Path, tokenizer_dir: Path, base_dir: Path) -> None:
        self.reader, self.tokenizer_dir = RowReader(shards / "train"), tokenizer_dir
        ours, base = (
            Tokenizer.from_file(str(f / "tokenizer.json")) for f in (tokenizer_dir, base_dir)
        )
        self.new_ids = sorted(compare_tokens(base, ours).new_ids)
        self._read, self._sizes = BaseReader(base, ours), (_num_bytes(ours), _num_bytes(base))

    def steps(self, number: int, seed: int) -> Iterator[list[_Text]]:
        """Yield the texts of so many steps."""
        texts, order = [], np.random.default_rng(1000 + seed).permutation(self.reader.num_rows)
        for row in map(self.reader.row, order.tolist()):
            for first, end in zip(row.cu_seqlens, row.cu_seqlens[1:], strict=False):
                for start in range(first, end, WINDOW):
                    ids = row.input_ids[start : min(start + WINDOW, end)].astype(np.int64)
                    if len(ids) > 12 and np.isin(ids, self.new_ids).mean() > 0.05:
                        texts.append(self._text(ids))
            while len(texts) >= TEXTS_A_STEP and number:
                yield texts[:TEXTS_A_STEP]
                del texts[:TEXTS_A_STEP]
                number -= 1

    def _text(self, ids: Ids) -> _Text:
        theirs = self._read(ids)
        ends = []
        for one, sizes in zip((ids, theirs), self._sizes, strict=True):
            taken = sizes[one]
            taken[0] = 0  # the first token is as it is, but of its pieces only the last is read
            ends.append(np.cumsum(taken))
        _, our_places, their_places = np.intersect1d(*ends, return_indices=True)
        return _Text(ids, theirs, our_places, their_places)


def _num_bytes(tokenizer: Tokenizer) -> Ids:
    """Return the bytes of each token; 1 of a marker."""
    added, vocab = tokenizer.get_added_tokens_decoder(), tokenizer.get_vocab(with_added_tokens=True)
    sizes = np.ones(max(vocab.values()) + 1, dtype=np.int64)
    for token, number in vocab.items():
        if number not in added:
            sizes[number] = len(from_byte_chars(token))
    return sizes


def _learn(base: Path, rows: _Rows, folder: Path, method: str, num_steps: int, seed: int) -> Path:
    """Let the rows of new tokens learn alone, and return the folder of the network with them."""
    grown = build_model(
        ModelConfig(base=str(base)),
        vocab_size=rows.reader.vocab_size,
        seq_len=SEQ_LEN,
        special_ids=rows.reader.special_ids,
        seed=0,
        tokenizer_dir=rows.tokenizer_dir,
    )
    save_model(grown, folder, tokenizer_dir=rows.tokenizer_dir)
    teacher, student = (
        AutoModelForCausalLM.from_pretrained(one).eval().requires_grad_(False)
        for one in (base, folder)
    )
    table: Any = student.get_input_embeddings().weight
    table.requires_grad_(True)
    learns = torch.zeros(len(table), 1).index_fill(0, torch.tensor(rows.new_ids), 1.0)
    optimizer = torch.optim.Adam([table], betas=(0.9, 0.95))
    for step, found in enumerate(rows.steps(num_steps, seed)):
        rate = RATE * min(1.0, (step + 1) / 5) * max(0.05, 1 - step / num_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        _loss(student, teacher, found, method).backward()
        table.grad *= learns
        optimizer.step()
        optimizer.zero_grad()
    student.save_pretrained(folder)
    return folder


def _loss(student: Any, teacher: Any, found: Sequence[_Text], method: str) -> Tensor:
    ours = _padded([one.ours for one in found], 0)
    hidden = student.model(input_ids=ours).last_hidden_state
    if method == "loss":
        targets = _padded([one.ours[1:] for one in found], -100, width=ours.shape[1])
        logits = student.lm_head(hidden).flatten(0, 1)
        return F.cross_entropy(logits, targets.flatten(), ignore_index=-100)
    said = torch.cat([hidden[n, one.our_places] for n, one in enumerate(found)])
    with torch.no_grad():
        theirs = teacher.model(
            input_ids=_padded([one.theirs for one in found], 0)
        ).last_hidden_state
        wanted = torch.cat([theirs[n, one.their_places] for n, one in enumerate(found)])
    return F.mse_loss(said, wanted) / wanted.var()


def _padded(found: Sequence[Ids], fill: int, *, width: int = 0) -> Tensor:
    table = np.full((len(found), max(width, *map(len, found))), fill, dtype=np.int64)
    for row, ids in zip(table, found, strict=True):
        row[: len(ids)] = ids
    return torch.from_numpy(table)


if __name__ == "__main__":
    main()
