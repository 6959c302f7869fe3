"""Nested numbers -> lines on the terminal, for the benchmarks."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def show(name: str, result: object, indent: int = 0) -> None:
    """Print nested numbers, one a line."""
    pad = "  " * indent
    if isinstance(result, dict):
        print(f"{pad}{name}")
        for key, value in result.items():
            show(str(key), value, indent + 1)
    elif isinstance(result, float):
        print(f"{pad}{name:<44} {result:,.4g}")
    elif isinstance(result, int):
        print(f"{pad}{name:<44} {result:,}")
    else:
        print(f"{pad}{name:<44} {result}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add where the text is, and how numbers are printed."""
    parser.add_argument("--data", type=Path, required=True, help="folder of real text")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def say(name: str, result: object, *, as_json: bool) -> None:
    """Print what was measured, for people or as one JSON object."""
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        show(name, result)
