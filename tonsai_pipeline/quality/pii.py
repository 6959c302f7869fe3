"""Texts -> how much personal data they hold, and the same texts with it masked.

Counted: e-mail addresses, telephone numbers (Cambodian forms, in ASCII and Khmer digits, and international
ones), IP addresses, numbers that look like identity documents. These are patterns, not knowledge: a
nine-digit number is called an identity number whether it is one or not.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.compiled import kernel
from tonsai_pipeline.text.utf8 import Texts, batch_of_arrow

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
    may_hold = _may_hold(texts)
    counts = {}
    for kind, pattern in PATTERNS.items():
        places = np.flatnonzero(may_hold[kind])
        chosen = texts.take(pa.array(places))
        if kind == "national_id":  # a telephone number could be counted a second time
            chosen = mask_pii(chosen, ["phone"])
        options = pc.MatchSubstringOptions(pattern)
        found = pc.call_function("count_substring_regex", [chosen], options)
        all_counts = np.zeros(len(texts), dtype=np.int32)
        all_counts[places] = found.to_numpy()
        counts[kind] = pa.array(all_counts)
    return counts


def _may_hold(texts: Texts) -> dict[str, npt.NDArray[np.bool_]]:
    """Return by kind which texts are worth a search: five passes of RE2 took a sixth of the time of scoring."""
    batch = batch_of_arrow(texts)
    num_digits, has_dots, has_at = _scan(batch.data, batch.offsets)
    return {
        "email": has_at,
        "ip": has_dots,
        "phone": num_digits >= 7,
        "national_id": num_digits >= 9,
    }


@kernel
def _scan(data, offsets):
    """Return of each text the most digits in a stretch of digits and what may stand between them.

    And whether a stretch has the dots and digits of an IP address; and whether the text has an @.
    """
    num_texts = len(offsets) - 1
    most_digits = np.zeros(num_texts, dtype=np.int64)
    has_dots = np.zeros(num_texts, dtype=np.bool_)
    has_at = np.zeros(num_texts, dtype=np.bool_)
    for text in range(num_texts):
        at, end = offsets[text], offsets[text + 1]
        digits = dots = 0
        while at < end:
            byte = data[at]
            at += 1
            if 0x30 <= byte <= 0x39:
                digits += 1
                continue
            if byte == 0xE1:  # of three bytes
                if data[at] == 0x9F and 0xA0 <= data[at + 1] <= 0xA9:  # a Khmer digit
                    digits += 1
                    at += 2
                    continue
                at += 2
            elif byte == 0x40:
                has_at[text] = True
            if digits == 0:
                continue
            if byte == 0x2E:
                dots += 1
            elif byte == 0xC2 and data[at] == 0xA0:  # no-break space
                at += 1
            elif not (byte == 0x20 or byte == 0x28 or byte == 0x29 or byte == 0x2B or byte == 0x2D):
                most_digits[text] = max(most_digits[text], digits)
                has_dots[text] |= dots >= 3 and digits >= 4
                digits = dots = 0
        most_digits[text] = max(most_digits[text], digits)
        has_dots[text] |= dots >= 3 and digits >= 4
    return most_digits, has_dots, has_at


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
