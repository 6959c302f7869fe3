"""Training, measured on one GPU: tokens/s, MFU, memory, attention, exact resume.

    uv run python -m benchmarks.train.gpu [--json] [--only attention,sweep,memory,backends,resume,batch]
    uv run python -m benchmarks.train.gpu --dry          the same code on a CPU, with a network of 36 thousand parameters

The network is the starter kit's (759,905,280 parameters at 50,000 tokens), bf16, rows of 2,048. Rows are generated:
random tokens in documents as long as real ones. Each case is a process of its own, so one that runs out of memory
costs only itself. The target is an MFU of at least 45 % in `sweep`. What has been measured is in docs/performance.md.

attention  our attention against SDPA with a block mask in fp32: errors and times; the device's own matrix product
sweep      micro batches, compiled or not, 24 or 12 heads, cuDNN's and flash attention's kernel, and the block mask
memory     all logits at once or in parts; activations kept or computed again
backends    DeepSpeed with ZeRO 1 against plain torch
resume     stopped in the middle and resumed, with deterministic kernels and without; size and time of a checkpoint
batch      the recipe's own step of 524,288 tokens
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import sections

TARGET_MFU = 0.45
BASE = {"kind": "steps", "micro": 16, "compile": True}
CASES: dict[str, dict[str, dict[str, Any]]] = {
    "attention": {
        "matrix product": {"kind": "matmul"},
        "heads of 64": {"kind": "attention", "head_dim": 64},
        "heads of 128": {"kind": "attention", "head_dim": 128},
        "heads of 64, flash": {"kind": "attention", "head_dim": 64, "attention": "flash"},
        "heads of 128, flash": {"kind": "attention", "head_dim": 128, "attention": "flash"},
    },
    "sweep": {
        "micro 16": BASE,
        "micro 8": BASE | {"micro": 8},
        "micro 32": BASE | {"micro": 32},
        "micro 16, not compiled": BASE | {"compile": False},
        "micro 16, 12 heads": BASE | {"heads": 12},
        "micro 16, flash": BASE | {"attention": "flash"},
        "micro 16, block mask": BASE | {"attention": "mask"},
    },
    "memory": {
        "logits in parts of 8,192": BASE | {"chunk": 8192},
        "activations computed again": BASE | {"recompute": True},
    },
    "backends": {
        "torch": BASE,
        "DeepSpeed, ZeRO 1": BASE | {"backend": "deepspeed"},
    },
    "resume": {
        "deterministic": {"kind": "resume", "micro": 8, "deterministic": True, "compile": True},
        "default": {"kind": "resume", "micro": 8, "compile": True},
    },
    "batch": {"524,288 tokens a step": BASE | {"accum": 16, "backend": "deepspeed"}},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sections.add_option(parser, CASES)
    parser.add_argument("--steps", type=int, help="steps of a case")
    parser.add_argument("--dry", action="store_true", help="a tiny network, on any machine")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.add_argument("--work", type=Path, help="folder for runs; a temporary one by default")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    chosen = sections.chosen(parser, options.only, CASES)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        if options.case is not None:
            print(json.dumps(measure(json.loads(options.case), options, work)))
            return
        results: dict[str, Any] = {"device": device(dry=options.dry)}
        for section in chosen:
            results[section] = {}
            for name, case in CASES[section].items():
                found = run(case, options, work)
                results[section][name] = found
                if not options.json:
                    print(f"{section}: {name}: {json.dumps(found)}", flush=True)
    verdict(results)
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        print(f"verdict: {json.dumps(results['verdict'])}")


def device(*, dry: bool) -> dict[str, str]:
    """Name what is measured on; without a GPU only a dry run makes sense."""
    import torch

    if not torch.cuda.is_available():
        if not dry:
            raise SystemExit("no GPU is at hand: --dry runs the same code with a tiny network")
        return {"name": "cpu (dry run: no number here says anything)", "torch": torch.__version__}
    return {
        "name": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cudnn": str(torch.backends.cudnn.version()),
    }


def run(case: dict[str, Any], options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Measure a case: in a process of its own, or, in a dry run, in this one."""
    if options.dry:
        return measure(dry(case), options, work)
    command = [
        sys.executable,
        "-m",
        "benchmarks.train.gpu",
        "--case",
        json.dumps(case),
        "--work",
        str(work),
    ]
    if options.steps is not None:
        command += ["--steps", str(options.steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]}
    return json.loads(done.stdout.splitlines()[-1])


def measure(case: dict[str, Any], options: argparse.Namespace, work: Path) -> dict[str, Any]:
    from dataclasses import replace

    from benchmarks.train import gpu_cases

    size = gpu_cases.DRY if options.dry else gpu_cases.FULL
    if options.steps is not None:
        size = replace(size, num_steps=options.steps)
    return gpu_cases.measure(case, size, work)


def dry(case: dict[str, Any]) -> dict[str, Any]:
    """Make a case small: compiling and DeepSpeed's imports take half a minute on a CPU and are tested elsewhere."""
    small = {"micro": 2, "compile": False, "backend": "torch", "accum": 2}
    if "heads" in case:
        small["heads"] = 2
    if "chunk" in case:
        small["chunk"] = 64
    return case | {
        key: value for key, value in small.items() if case["kind"] in ("steps", "resume")
    }


def verdict(results: dict[str, Any]) -> None:
    """Say whether the bars were reached, where they were measured."""
    found: dict[str, Any] = {}
    speeds = {
        name: case["mfu"]
        for name, case in results.get("sweep", {}).items()
        if case.get("mfu") is not None
    }
    if speeds:
        best = max(speeds, key=lambda name: speeds[name])
        found |= {"best": best, "mfu": speeds[best], "mfu reached": speeds[best] >= TARGET_MFU}
    if "deterministic" in results.get("resume", {}):
        bar = "losses and gradient norms equal to the last digit"
        found["exact resume"] = results["resume"]["deterministic"].get(bar)
    shares = [c["loader_share"] for c in results.get("sweep", {}).values() if "loader_share" in c]
    if shares:
        found["largest loader share"] = max(shares)
    results["verdict"] = found


if __name__ == "__main__":
    main()
