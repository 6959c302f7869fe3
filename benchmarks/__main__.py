"""Every comparison with a peer that this machine can make -> one table in docs/performance.md.

    uv run --group bench python -m benchmarks --data FOLDER [--only normalize,read,...] [--folder .]

Ours and the peer's get the same input in the same run of a process of their own. Packages that peers need are
installed into the user's cache. A comparison that cannot be made here is named with its reason, in the table too;
the others of an earlier run stay as they are with `--only`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.comparisons import COMPARISONS, Row
from benchmarks.scaling import cpu_name

_RESULTS = Path("docs") / "comparisons.json"
_PAGE = Path("docs") / "performance.md"
_BEGIN, _END = "<!-- comparisons: made by python -m benchmarks -->", "<!-- end of comparisons -->"
_PACKAGES = (
    "datatrove", "datasketch", "rensa", "datasets", "tokenizers", "gigatoken", "kitoken", "fastokens",
    "tokie", "trl", "pheasa", "khmernormalizer",
    "khmerspell", "transformers", "torch", "numba",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    parser.add_argument("--only", default=",".join(COMPARISONS), help="comparisons, by comma")
    parser.add_argument("--folder", type=Path, default=Path(), help="that holds docs/")
    told = parser.parse_args()
    chosen = told.only.split(",")
    if unknown := set(chosen) - set(COMPARISONS):
        parser.error(f"no comparison {sorted(unknown)}; there are {', '.join(COMPARISONS)}")
    stored = told.folder / _RESULTS
    known: dict[str, Any] = json.loads(stored.read_text()) if stored.is_file() else {}
    for name in chosen:
        print(f"{name} ...", file=sys.stderr, flush=True)
        known[name] = measure(name, told.data)
        stored.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    write_between(told.folder / _PAGE, table(known))
    return int(any("failed" in known[name] for name in chosen))


def measure(name: str, data: Path) -> dict[str, Any]:
    """Run one comparison in a process of its own; return its rows and facts, or why it failed."""
    one = COMPARISONS[name]
    command = [sys.executable, "-m", f"benchmarks.{one.module}", "--data", str(data)]
    command += ["--json", "--only", one.section, *one.options]
    # One core each, ours and theirs.
    environment = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"} if name != "shards" else {}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    facts = {"date": dt.datetime.now(dt.UTC).date().isoformat(), "versions": versions()}
    facts["hardware"] = f"{os.cpu_count()} cores, {cpu_name()}, Python {platform.python_version()}"
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return {**facts, "failed": done.stderr.strip().splitlines()[-1][:200]}
    found = json.loads(done.stdout[done.stdout.index("{") :])
    return {**facts, "rows": [row._asdict() for row in one.rows(found)]}


def versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def all_rows(known: dict[str, Any]) -> list[Row]:
    return [Row(**row) for one in known.values() for row in one.get("rows", ())]


def table(known: dict[str, Any]) -> str:
    """Return the Markdown table: a line for each thing that was measured, with every peer on the same input."""
    lines = [
        "| what | on | ours | peers: theirs, how many times ours is better |",
        "|---|---|---:|---|",
    ]
    lines_of: dict[tuple[str, str, str, str], list[str]] = {}
    for r in all_rows(known):
        ours = three_digits(r.ours)
        peer = f"{r.peer} {three_digits(r.theirs)}, **{three_digits(r.ratio)}**"
        lines_of.setdefault((r.what, r.text, ours, r.unit), []).append(peer)
    lines += [
        f"| {what} | {text} | {ours} {unit} | {'; '.join(peers)} |"
        for (what, text, ours, unit), peers in lines_of.items()
    ]
    dates = sorted({one["date"] for one in known.values()})
    hardware = sorted({one["hardware"] for one in known.values()})
    lines += ["", f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}; {'; '.join(hardware)}."]
    oldest_first = sorted(known.values(), key=lambda one: one["date"])
    newest = {name: number for one in oldest_first for name, number in one["versions"].items()}
    lines += [", ".join(f"{name} {number}" for name, number in newest.items()) + "."]
    lines += [
        f"- **{name}** was not measured: {one['failed']}"
        for name, one in known.items()
        if "failed" in one
    ]
    return "\n".join(lines)


def three_digits(number: float) -> str:
    """Return a number with three digits that say something, and no exponent."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def write_between(path: Path, text: str) -> None:
    """Put a text between the two marks of a page."""
    page = path.read_text(encoding="utf-8")
    head, _, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not end:
        raise SystemExit(f"{path}: has no marks {_BEGIN} ... {_END}")
    path.write_text(f"{head}{_BEGIN}\n{text}\n{_END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
