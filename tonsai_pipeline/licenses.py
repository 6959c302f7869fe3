"""Licences of what was learned from -> the strictest of them, and what a chosen one promises too much; pure.

MIT, CC-BY-SA-4.0, CC-BY-NC-4.0 ──strictest──▶ CC-BY-NC-4.0
apache-2.0 over cc-by-nc-4.0 ──conflicts──▶ "news: cc-by-nc-4.0 allows no commercial use, apache-2.0 does"

Source: huggingface.co, "Repository licenses": the identifiers that a model card may have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

#: Identifiers of the Hub, for models and data.
KNOWN = frozenset({
    "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m", "bigscience-bloom-rail-1.0",
    "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd", "bsd-2-clause", "bsd-3-clause",
    "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0",
    "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0",
    "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1",
    "lgpl-3.0", "isc", "h-research", "intel-research", "lppl-1.3c", "ms-pl", "mpl-2.0", "odc-by", "odbl",
    "openmdw-1.0", "openrail++", "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib", "pddl", "lgpl-lr",
    "gemma", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "other",
})  # fmt: skip

_NO_COMMERCE = ("ccbync", "hresearch", "intelresearch")
#: Classes of licences, from the freest to the strictest, by how their names begin. What is not known is strictest.
_CLASSES: tuple[tuple[str, ...], ...] = (
    ("cc0", "unlicense", "pddl", "publicdomain", "0bsd", "wtfpl"),
    ("mit", "apache", "bsd", "bsl", "isc", "odcby", "ccby", "cdlapermissive", "zlib", "afl", "artistic", "ecl",
     "etalab", "mspl", "openmdw", "postgresql", "ofl", "ncsa", "lppl"),
    ("ccbysa", "odbl", "gfdl", "gpl", "lgpl", "agpl", "mpl", "cdlasharing", "epl", "eupl", "osl"),
    ("openrail", "bigscience", "bigcode", "creativeml", "llama", "gemma", "cuda"),
    ("ccbynd",),
    _NO_COMMERCE,
)  # fmt: skip


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


def is_unknown(license_id: str) -> bool:
    """Whether nobody can say what a licence allows."""
    return rank(license_id) == len(_CLASSES)


def strictest(licenses: Iterable[str]) -> str | None:
    """Return the strictest licence, the first of equals; None of none."""
    return max(licenses, key=rank, default=None)


def conflicts(chosen: str, learned_from: Mapping[str, str]) -> list[str]:
    """Say which licences the chosen one promises more than.

    Args:
        chosen: Licence of the model.
        learned_from: Licence by name of a source or base model.

    Example:
        >>> conflicts("mit", {"news": "CC-BY-NC-4.0", "law": "cc0-1.0", "old": "cc-by-nd-4.0"})
        ['news: CC-BY-NC-4.0 allows no commercial use, mit does', 'old: cc-by-nd-4.0 allows no changed copies']
    """
    found = []
    for name, theirs in learned_from.items():
        if _forbids_commerce(theirs) and not _forbids_commerce(chosen):
            found.append(f"{name}: {theirs} allows no commercial use, {chosen} does")
        elif "nd" in re.split(r"[-_. ]", theirs.lower()):
            found.append(f"{name}: {theirs} allows no changed copies")
    return found


def _forbids_commerce(license_id: str) -> bool:
    return rank(license_id) == _CLASSES.index(_NO_COMMERCE)
