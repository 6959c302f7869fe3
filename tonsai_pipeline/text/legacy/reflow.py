"""Lines of a printed page -> paragraphs.

Printed lines break wherever the page ends, inside words too: Khmer writes no space there, and none is put in. A line that is
clearly shorter than its page is wide, or ends a sentence, ends its paragraph; so does one before an article or a list item.
"""

from __future__ import annotations

import re

#: A line of less than this share of the page's width ends a paragraph. Of 9,600 lines of law four of five are longer.
_MIN_FULL_FRAC = 0.75
#: Ends a paragraph: khan, bariyoosan, camnuc pii kuuh.
_ENDS = "\u17d4\u17d5\u17d6"
#: Begins one: an article, chapter, section or title of a law, a number with a mark behind it, a dash or bullet.
STARTS = re.compile(
    r"\s*(?:\u1798\u17b6\u178f\u17d2\u179a\u17b6|\u1787\u17c6\u1796\u17bc\u1780|\u1795\u17d2\u1793\u17c2\u1780|"
    r"\u1782\u1793\u17d2\u1790\u17b8|[0-9\u17e0-\u17e9]{1,4}\s*[-.)\u17d4]|[\u1780-\u17a2]\s*[-.)]|[-\u2013\u2022\u25cf*]\s)"
)


def reflow(text: str) -> str:
    r"""Join the lines of a converted page into paragraphs; the first and the last line end stay.

    Example:
        >>> reflow("ប្រជាពលរដ្ឋមានសិទ្ធិ\nស្មើគ្នា")
        'ប្រជាពលរដ្ឋមានសិទ្ធិស្មើគ្នា'
    """
    lines = text.split("\n")
    bare = [line.strip() for line in lines]
    lengths = [len(line) for line in bare]
    widest = sorted(length for length in lengths if length)
    full = _MIN_FULL_FRAC * widest[len(widest) * 9 // 10] if widest else 0
    pairs = zip(bare, lines[1:], lengths, lengths[1:], strict=False)
    for number, (line, following, length, next_length) in enumerate(pairs):
        is_open = (
            length >= full
            and length
            and next_length
            and line[-1] not in _ENDS
            and not STARTS.match(following)
        )
        if not is_open:
            lines[number] += "\n"
    return "".join(lines)
