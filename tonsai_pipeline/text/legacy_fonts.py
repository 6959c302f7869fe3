"""Texts -> the ones that are Khmer only in a font that is gone, or what a failed OCR left.

Before Unicode, Khmer fonts (Limon, ABC) drew Khmer letters at the places of Latin ones. Extracted
from a PDF, such a text is Latin garbage: capitals inside words, letters of Latin-1, no English
words. It must be converted or rejected, never trained on.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

from tonsai_pipeline.text import characters as ch
from tonsai_pipeline.text.clusters import NO_UNIT, WORD, kind_of, next_unit
from tonsai_pipeline.text.utf8 import Texts, batch_of_arrow, decode


def legacy_font_batch(texts: Texts) -> pa.StringArray:
    raise NotImplementedError
