"""Lengths of documents -> rows of equal length that lose no token.

lengths ──best_fit | concat──▶ Rows (segments: document, start, length) ──layout──▶ RowBlock-ready arrays
"""

#: Names the algorithms of this package. Any other row for the same documents needs a new one.
PACKING_VERSION = "1"
