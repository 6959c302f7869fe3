"""A trained model small enough for a test, its evaluation, and a Hub that remembers what it is given."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

from tonsai_pipeline.evaluate.gate import Measured, judge
from tonsai_pipeline.model.build import build_model, load_model, num_parameters, save_model
from tonsai_pipeline.model.held_out import measure_network, open_validation
from tonsai_pipeline.publish.spec import DataSource, PublishRun
from tonsai_pipeline.recipe.evaluate import GateConfig
from tonsai_pipeline.recipe.publish import PublishConfig
from tonsai_pipeline_tests.train import tiny

SPECIAL = {"bos": tiny.BOS, "eos": tiny.EOS, "pad": tiny.PAD}
HEALTH = {
    "empty_frac": 0.0, "replacement_frac": 0.0, "invalid_cluster_frac": 0.0, "loop_frac": 0.0,
    "stable_frac": 1.0, "right_language_frac": 1.0,
}  # fmt: skip
SOURCES = (
    DataSource(name="news", lang="khm", license="cc-by-4.0"),
    DataSource(name="books", lang="eng", license="cc0-1.0", hub="owner/books"),
)


def write_model(folder: Path, seed: int = 0) -> Path:
    model = build_model(tiny.MODEL, vocab_size=320, seq_len=64, special_ids=SPECIAL, seed=seed)
    save_model(model, folder / "model", tokenizer_dir=tiny.write_tokenizer(folder / "tokenizer"))
    return folder / "model"


def write_results(path: Path, model_dir: Path, shards: Path, **gate: Any) -> Path:
    """Write what an evaluation of the model would."""
    network = load_model(model_dir)
    found = measure_network(
        network,
        open_validation(shards),
        batch_rows=8,
        max_rows=None,
        positions="row",
        device=torch.device("cpu"),
    )
    bits = {language: one.bits_per_byte for language, one in found.items()}
    measured = Measured(
        bits_per_byte=bits,
        untrained=dict.fromkeys(bits, 10.0),
        same_cut=1.0,
        health=HEALTH,
        memorized=0.0,
        added_terms=gate.pop("added_terms", 0.0),
        personal_data=0.0,
    )
    verdicts = judge(measured, GateConfig(**gate))
    estimate = {"value": 1.0, "low": 0.9, "high": 1.1, "num_items": 20}
    rows = [
        {"texts": "held out", "language": lang, "by": "all", "group": "", "bits_per_byte": {**estimate, "value": value}}
        for lang, value in bits.items()
    ]  # fmt: skip
    suite = [
        {
            "kind": "minimal_pair",
            "measure": "preferred",
            "score": estimate,
            "floors": {"chance": 0.5},
        }
    ]
    model = {
        "name": "m", "num_parameters": num_parameters(network), "vocab_size": 320, "bits_per_byte": rows,
        "suite": suite, "items": ["text that nobody gives away"],
    }  # fmt: skip
    results = {
        "title": "m", "date": "2026-11-26", "models": [model], "suite": "khmer/1", "num_dirty": 0, "items": [{}] * 20,
        "languages": {lang: {"after": {"bits_per_byte": value}} for lang, value in bits.items()},
        "not_measured": [{"name": "truth", "why": "nobody can", "how": ""}],
        "training": {
            "tokens": 1000, "step": 10, "train_s": 7200.0, "world_size": 1, "device": "cpu", "precision": "fp32",
            "zero_stage": 1, "checkpoint": str(path.parent / "checkpoints"),
        },
        "corpus": {
            "raw_documents": [{"num_documents": 50, "bad_by_reason": {"broken_json": 3}}],
            "packed_shards": [{"num_canary_tokens": 12_345, "sources": {"news": {
                "num_documents": 40, "num_bytes": 9000, "num_tokens": 3000, "epochs": 1.5, "share": 0.6, "target_share": 0.6,
            }}}],
        },
        "gate": {"verdicts": [vars(one) for one in verdicts]},
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results))
    return path


def release_run(
    place: Path, model_dir: Path, results: Path, shards: Path, **changes: Any
) -> PublishRun:
    publish = {"license": "cc-by-4.0", "limits": ["Not for advice."], **changes.pop("publish", {})}
    given: dict[str, Any] = {
        "name": "tiny",
        "publish": PublishConfig(**publish),
        "model_dir": model_dir,
        "results": results,
        "shards_dir": shards,
        "sources": SOURCES,
        "made_with": {"model": {"num_layers": 2}, "train": {"optimizer": {"lr": 0.001}}},
        "masked": ("email",),
        "commit": "c" * 40,
        "output_dir": place,
        "fingerprint": "f" * 64,
        **changes,
    }
    return PublishRun(**given)


class Hub:
    """A server that takes commits as the Hub does, as far as `huggingface_hub` asks it."""

    def __init__(self) -> None:
        self.commits: list[dict[str, Any]] = []
        self.branches: list[str] = []
        self.fails = False

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        place = path.partition("?")[0]
        if place == "/api/repos/create":
            return 200, {"url": "https://huggingface.co/owner/tiny", "id": "owner/tiny"}
        if "/branch/" in place:
            self.branches.append(place.rsplit("/", 1)[1])
            return 200, {}
        if "/preupload/" in place:
            files = json.loads(body)["files"]
            return 200, {
                "files": [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in files
                ]
            }
        if "/commit/" in place:
            if self.fails:
                return 507, {"error": "Insufficient Storage"}
            lines = [json.loads(line) for line in body.splitlines()]
            files = {
                one["value"]["path"]: base64.b64decode(one["value"]["content"])
                for one in lines
                if one["key"] == "file"
            }
            gone = [one["value"]["path"] for one in lines if one["key"] == "deletedFile"]
            self.commits.append({"files": files, "path": path, "gone": gone})
            answer = {
                "commitUrl": "https://huggingface.co/owner/tiny/commit/1",
                "commitOid": "1",
                "pullRequestUrl": None,
            }
            if "create_pr=1" in path:
                answer["pullRequestUrl"] = "https://huggingface.co/owner/tiny/discussions/1"
            return 200, answer
        if "/tree/" in place:
            return 200, [{"type": "file", "path": "old.bin", "size": 1, "oid": "0"}]
        return 200, {"id": "owner/tiny", "sha": "0" * 40, "siblings": [{"rfilename": "old.bin"}]}


@contextmanager
def hub() -> Iterator[tuple[Hub, str]]:
    """Serve a Hub and yield it with its address."""
    served = Hub()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, answer = served.answer(self.command, self.path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_HEAD = do_DELETE = _do  # noqa: N815  # as http.server calls them

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield served, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
