"""Khmer text."""
from tonsai_pipeline.text.normalize import normalize, normalize_batch, NormalizeOptions, normalize_batch_report, NORMALIZER_VERSION, malformed_texts
