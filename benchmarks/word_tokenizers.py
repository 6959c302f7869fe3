"""datatrove's word tokenizers for Khmer and English: packages of their own, installed beside the project when they are asked for."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

_PACKAGES = {"khmernltk": "khmer-nltk", "spacy": "spacy"}


def cache_folder() -> Path:
    """Return the folder that packages of peers are kept in: the user's cache, never the repository."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = ".".join(map(str, sys.version_info[:2]))
    return cache / "tonsai_benchmarks" / f"peers-{version}"


def find() -> None:
    """Make them importable; installs what is missing, by uv, once."""
    folder = cache_folder()
    # Behind the project's own packages, which stay as they are locked.
    sys.path.append(str(folder))
    missing = [package for name, package in _PACKAGES.items() if not importlib.util.find_spec(name)]
    if missing:
        command = ["uv", "pip", "install", "--quiet", "--target", str(folder), *missing]
        subprocess.run(command, check=True)
        importlib.invalidate_caches()
