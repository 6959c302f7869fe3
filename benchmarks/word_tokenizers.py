"""datatrove's word tokenizers for Khmer and English: packages of their own, found before an hour is spent."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

_PACKAGES = {"khmernltk": "khmer-nltk", "spacy": "spacy"}


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--peers`."""
    parser.add_argument("--peers", type=Path, help="folder of datatrove's word tokenizers")


def find(parser: argparse.ArgumentParser, folder: Path | None, section: str) -> None:
    """Make them importable, or end with what to do."""
    if folder is not None:
        sys.path.append(str(folder))
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        wanted = " ".join(_PACKAGES[name] for name in missing)
        parser.error(
            f"section {section}: datatrove needs {wanted}: uv pip install --target PEERS {wanted}, "
            "then --peers PEERS; or leave the section out with --only"
        )
