"""The sections of a benchmark: `--only` and what it says."""

from __future__ import annotations

import argparse
from collections.abc import Iterable


def add_option(parser: argparse.ArgumentParser, sections: Iterable[str]) -> None:
    """Add `--only`."""
    parser.add_argument("--only", default=",".join(sections), help="sections, by comma")


def chosen(parser: argparse.ArgumentParser, only: str, sections: Iterable[str]) -> list[str]:
    """Return the names that were asked for, or end with those that there are."""
    names = only.split(",")
    if unknown := set(names) - set(sections):
        parser.error(f"unknown sections {sorted(unknown)}; there are {', '.join(sections)}")
    return names
