"""Normalized texts -> the same without damaged lines, and their languages and scripts, read in one pass.

texts ──tally──▶ counts ──cut_damage──▶ texts that lost lines ──tally──▶ counts ──▶ languages, shares of scripts
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tonsai_pipeline.text.legacy_fonts import Undamaged, cut_damage
from tonsai_pipeline.text.script import LanguageModel, languages, script_shares, tally_batch
from tonsai_pipeline.text.utf8 import Texts


class Labelled(NamedTuple):
    """What is left of a batch, and what it is.

    Args:
        undamaged: What `cut_damage_batch` returns.
        languages: What `languages_batch` returns for the texts that are left.
        shares: What `script_shares_batch` returns for them.
    """

    undamaged: Undamaged
    languages: pa.StringArray
    shares: pa.StructArray


def label_batch(texts: Texts, model: LanguageModel | None = None) -> Labelled:
    """Do what `cut_damage_batch`, and then `languages_batch` and `script_shares_batch`, do one after the other.

    >>> label_batch(pa.array(["She went to the market."])).languages[0].as_py()
    'eng'
    """
    tally = tally_batch(texts)
    undamaged = cut_damage(texts, tally)
    cut = np.flatnonzero(undamaged.cut_bytes)
    if len(cut):
        again = tally_batch(undamaged.texts.take(pa.array(cut)))
        tally.counts[cut], tally.listed[cut] = again
    return Labelled(undamaged, languages(undamaged.texts, tally, model), script_shares(tally))
