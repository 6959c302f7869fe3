"""Nested numbers -> lines on the terminal, for the benchmarks."""

from __future__ import annotations


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
