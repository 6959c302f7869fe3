"""Values as YAML and a person read them."""

from __future__ import annotations

import json
import re

_PLAIN = re.compile(r"[A-Za-z0-9_./-]*[A-Za-z_/][A-Za-z0-9_./-]*")
_RESERVED = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "."}


def quoted(text: str) -> str:
    """Write a string as YAML.

    Example:
        >>> quoted("khm/news.jsonl"), quoted("a: b"), quoted("no")
        ('khm/news.jsonl', '"a: b"', '"no"')
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    return json.dumps(text, ensure_ascii=False)


def size(num_bytes: float) -> str:
    """Write a number of bytes for a person.

    Example:
        >>> size(3_640_000), size(900)
        ('3.6 MB', '0.9 kB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:,.1f} {unit}"
    return f"{num_bytes / 1e3:,.1f} kB"


def plain_number(value: float) -> str:
    """YAML 1.1 takes `1e-3` for a word: a mantissa has its point."""
    text = f"{value:g}"
    return f"{value:.1e}" if "e" in text else text


def comment(text: str) -> str:
    """Keep a comment on its line whatever a file is called."""
    return "".join(
        char if char.isprintable() or char in " \u200b\u200c\u200d" else repr(char)[1:-1]
        for char in text
    )
