"""Licences of sources -> the strictest: what a model that learned from all of them may be given under.

MIT, CC-BY-SA-4.0, CC-BY-NC-4.0 ──strictest──▶ CC-BY-NC-4.0
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Classes of licences, from the freest to the strictest. What is not known counts as strictest.
_CLASSES: tuple[tuple[str, ...], ...] = (
    ("cc0", "unlicense", "pddl", "publicdomain", "0bsd"),
    ("mit", "apache", "bsd", "isc", "odcby", "ccby", "cdlapermissive", "zlib"),
    ("ccbysa", "odbl", "gfdl", "gpl", "lgpl", "agpl", "mpl", "cdlasharing"),
    ("openrail", "bigscience", "llama", "gemma"),
    ("ccbynd",),
    ("ccbync", "ccbyncsa", "ccbyncnd"),
)


def rank(license_id: str) -> int:
    """Return how strict a licence is: 0 (public domain) to 6 (unknown).

    Example:
        >>> [rank(one) for one in ("CC0-1.0", "apache-2.0", "CC-BY-SA-4.0", "cc-by-nc-4.0", "mine")]
        [0, 1, 2, 5, 6]
    """
    name = re.sub(r"[^a-z0]", "", license_id.lower())
    found = [
        (len(prefix), place)
        for place, prefixes in enumerate(_CLASSES)
        for prefix in prefixes
        if name.startswith(prefix)
    ]
    return max(found)[1] if found else len(_CLASSES)


def strictest(licenses: Iterable[str]) -> str | None:
    """Return the strictest licence, the first of equals; None of none."""
    return max(licenses, key=rank, default=None)


def forbids_commerce(license_id: str) -> bool:
    """Whether a licence is for uses without commerce only, or unknown."""
    return rank(license_id) >= len(_CLASSES) - 1
