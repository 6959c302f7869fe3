"""Texts -> how much personal data they hold, and the same texts with it masked.

Counted: e-mail addresses, telephone numbers (Cambodian forms, in ASCII and Khmer digits, and international
ones), IP addresses, numbers that look like identity documents. These are patterns, not knowledge: a
nine-digit number is called an identity number whether it is one or not.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.text.utf8 import Texts

#: Bumped when the same text would be counted or masked otherwise.
PII_VERSION = 1

_DIGIT = r"[0-9\x{17E0}-\x{17E9}]"
_GAP = r"[ .\-\x{A0}]?"
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_ZERO, _CODE = r"[0\x{17E0}]", r"[1-9\x{17E1}-\x{17E9}]" + _DIGIT
_COUNTRY = r"(?:855|\x{17E8}\x{17E5}\x{17E5})"
#: RE2 has no look-around: group 1 keeps what stands before a number, group 2 what stands after.
_BEFORE, _AFTER = r"(^|[^0-9\x{17E0}-\x{17E9}A-Za-z+])", r"($|[^0-9\x{17E0}-\x{17E9}A-Za-z])"

#: Kind -> pattern, in the order in which they are looked for: a telephone number is no identity number.
PATTERNS = {
    "email": r"()[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+()",
    "ip": rf"(^|[^0-9.A-Za-z])(?:{_BYTE}\.){{3}}{_BYTE}($|[^0-9.A-Za-z]|\.(?:$|[^0-9]))",
    # Cambodian numbers (0XX XXX XXX, (0XX) ..., +855 XX ..., six or seven digits after the code), then any +country form.
    "phone": _BEFORE
    + rf"(?:(?:\+?{_COUNTRY}{_GAP}{_CODE}|{_ZERO}{_CODE}|\({_ZERO}{_CODE}\))"
    + rf"{_GAP}{_DIGIT}{{2,3}}{_GAP}{_DIGIT}{{2,3}}(?:{_GAP}{_DIGIT}{{1,3}})?"
    + r"|\+[1-9][0-9]{0,2}(?:[ .\-()]{0,2}[0-9]){7,12})"
    + _AFTER,
    # Cambodian identity card: 9 digits, sometimes with (01); social security form 3-2-4.
    "national_id": _BEFORE
    + rf"(?:{_DIGIT}{{9}}(?:\({_DIGIT}{{2}}\))?|[0-9]{{3}}-[0-9]{{2}}-[0-9]{{4}})"
    + _AFTER,
}
#: What a masked number reads as.
MASKS = {"email": "<EMAIL>", "phone": "<PHONE>", "ip": "<IP>", "national_id": "<ID>"}


def count_pii(texts: Texts) -> dict[str, pa.Array]:
    """Count personal data.

    Args:
        texts: Arrow strings.

    Returns:
        Kind -> int32 counts, shape (num_docs,).

    Example:
        >>> found = count_pii(pa.array(["write to a.b@example.org or call 012 345 678", "in 2019"]))
        >>> {kind: counts.to_pylist() for kind, counts in found.items()}
        {'email': [1, 0], 'ip': [0, 0], 'phone': [1, 0], 'national_id': [0, 0]}
    """
    counts = {}
    for kind, pattern in PATTERNS.items():
        options = pc.MatchSubstringOptions(pattern)
        found = pc.call_function("count_substring_regex", [texts], options)
        counts[kind] = found.cast(pa.int32())
        if kind == "phone":  # the one that could be counted a second time
            texts = mask_pii(texts, ["phone"])
    return counts


def mask_pii(texts: Texts, kinds: Iterable[str]) -> Texts:
    """Replace personal data by a placeholder such as `<PHONE>`.

    Args:
        texts: Arrow strings.
        kinds: Keys of `PATTERNS`.

    Raises:
        ValueError: A kind is unknown.

    Example:
        >>> mask_pii(pa.array(["call 012 345 678."]), ["phone"]).to_pylist()
        ['call <PHONE>.']
    """
    wanted = set(kinds)
    unknown = sorted(wanted - set(PATTERNS))
    if unknown:
        raise ValueError(
            f"unknown kinds of personal data: {', '.join(unknown)}; known: {', '.join(PATTERNS)}"
        )
    for kind, pattern in PATTERNS.items():
        if kind in wanted:
            options = pc.ReplaceSubstringOptions(pattern, rf"\1{MASKS[kind]}\2")
            texts = pc.call_function("replace_substring_regex", [texts], options)
    return texts
