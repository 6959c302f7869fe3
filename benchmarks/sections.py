"""The sections of a benchmark: `--only` and what it says."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.show import show


def add_option(parser: argparse.ArgumentParser, sections: Iterable[str]) -> None:
    """Add `--only`."""
    parser.add_argument("--only", default=",".join(sections), help="sections, by comma")


def chosen(parser: argparse.ArgumentParser, only: str, sections: Iterable[str]) -> list[str]:
    """Return the names that were asked for, or end with those that there are."""
    names = only.split(",")
    if unknown := set(names) - set(sections):
        parser.error(f"unknown sections {sorted(unknown)}; there are {', '.join(sections)}")
    return names


def run_each(names: Iterable[str], run: Callable[[str, Path], object], *, as_json: bool) -> None:
    """Run sections, each in a scratch folder of its own; print each when it is done, or all as one JSON object."""
    results = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = run(name, Path(folder))
        if not as_json:
            show(name, results[name])
            sys.stdout.flush()
    if as_json:
        print(json.dumps(results, indent=1))
