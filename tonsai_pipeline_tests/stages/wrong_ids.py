"""A fast encoder that passes its probe and then leaves out the last character of every text."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tonsai_pipeline.text.utf8 import Utf8Batch, arrow_of_batch, batch_of_arrow
from tonsai_pipeline.tokenizer.assemble import probe_texts
from tonsai_pipeline.tokenizer.fast_encoders import Encode, open_gigatoken


def open_wrong(tokenizer_json: bytes, *, parallel: bool) -> Encode:
    """Open it; takes the place of gigatoken in `FAST_ENCODERS`."""
    encode = open_gigatoken(tokenizer_json, parallel=parallel)

    def encode_less(texts: Utf8Batch) -> Any:
        said = arrow_of_batch(texts, pa.array([], pa.large_string())).to_pylist()
        is_probe = len(said) == len(probe_texts())
        less = said if is_probe else [text[:-1] for text in said]
        return encode(batch_of_arrow(pa.array(less, pa.large_string())))

    return encode_less
