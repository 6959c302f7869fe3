"""Licences of what was learned from, and the one that is chosen -> conflicts; pure.

apache-2.0 over cc-by-nc-4.0 ──conflicts──▶ "news: cc-by-nc-4.0 allows no commercial use, apache-2.0 does"

Source: huggingface.co, "Repository licenses": the identifiers that a model card may have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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


def forbids_commerce(license_id: str) -> bool:
    """Whether a licence allows no commercial use.

    Example:
        >>> [forbids_commerce(one) for one in ("CC-BY-NC-4.0", "cc-by-sa-4.0", "ncsa")]
        [True, False, False]
    """
    return "nc" in re.split(r"[-_. ]", license_id.lower())


def forbids_change(license_id: str) -> bool:
    """Whether a licence allows no changed copies."""
    return "nd" in re.split(r"[-_. ]", license_id.lower())


def conflicts(chosen: str, learned_from: Mapping[str, str]) -> list[str]:
    """Say which licences the chosen one promises more than.

    Args:
        chosen: Licence of the model.
        learned_from: Licence by name of a source or base model.
    """
    found = []
    for name, theirs in learned_from.items():
        if forbids_commerce(theirs) and not forbids_commerce(chosen):
            found.append(f"{name}: {theirs} allows no commercial use, {chosen} does")
        elif forbids_change(theirs):
            found.append(f"{name}: {theirs} allows no changed copies")
    return found
