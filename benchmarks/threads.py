"""How waiting threads share a machine: the demo's network trained on a CPU, alone and beside busy processes.

    uv run python -m benchmarks.threads [--busy 0 2] [--steps 40] [--rounds 2] [--json]

OpenMP's threads spin while they wait for each other. On a machine with other work each spin takes the core from the
one that is waited for. GOMP_SPINCOUNT (torch's OpenMP is GNU's) says for how long; OMP_WAIT_POLICY=PASSIVE is 0.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from benchmarks.show import show

POLICIES: dict[str, dict[str, str]] = {
    "default": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spin 1,000": {"GOMP_SPINCOUNT": "1000"},
    "spin 10,000": {"GOMP_SPINCOUNT": "10000"},
    "spin 100,000": {"GOMP_SPINCOUNT": "100000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
ROWS, SEQ_LEN, VOCAB = 16, 256, 4096


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--busy", type=int, nargs="+", default=[0, 2], help="busy processes beside the training"
    )
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        print(train(arguments.steps))
        return
    found: dict[str, dict[str, object]] = {name: {} for name in POLICIES}
    for num_busy in arguments.busy:
        for name, (speeds, loads) in beside(num_busy, arguments.rounds, arguments.steps).items():
            found[name][f"busy_{num_busy}_tokens_per_s"] = round(statistics.median(speeds))
            found[name][f"busy_{num_busy}_load"] = loads
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        show("threads", found)


def beside(num_busy: int, rounds: int, steps: int) -> dict[str, tuple[list[float], list[float]]]:
    """Return speeds of each policy, and how many processes wanted a core, the training's own among them."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in POLICIES}
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(num_busy)]
    try:
        # Policies take turns: other work on the machine then meets all of them.
        for _ in range(rounds):
            for name, policy in POLICIES.items():
                found[name][0].append(run(policy, steps))
                found[name][1].append(round(os.getloadavg()[0], 1))
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return found


def run(policy: dict[str, str], steps: int) -> float:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-m", "benchmarks.threads", "--train", "--steps", str(steps)]
    done = subprocess.run(
        command, env={**clean, **policy}, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def train(steps: int) -> float:
    import torch

    from tonsai_pipeline.model.build import build_model
    from tonsai_pipeline.model.loss import NextTokenLoss
    from tonsai_pipeline.recipe.model import ModelConfig

    section = ModelConfig(num_layers=4, hidden_size=128, num_heads=4)
    special = {"bos": 0, "eos": 1, "pad": 2}
    model = build_model(section, vocab_size=VOCAB, seq_len=SEQ_LEN, special_ids=special, seed=0)
    loss, optimizer = NextTokenLoss(model), torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.randint(VOCAB, (ROWS, SEQ_LEN))
    places = torch.arange(SEQ_LEN).expand(ROWS, -1)
    segments = (places // 64).int()
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        nll, _ = loss(ids, ids.roll(-1, 1), places, segment_ids=segments)
        (nll / ids.numel()).backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - began)
    return ROWS * SEQ_LEN * (steps - 3) / sum(seconds[3:])


if __name__ == "__main__":
    main()
