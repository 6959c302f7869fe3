"""Text of any origin -> Khmer text stored as Unicode asks, its clusters, its language, its faults.

The package stands alone: it imports numpy, numba and pyarrow, and nothing of the pipeline above it, so
that inference code normalizes a prompt exactly as the corpus was::

    from tonsai_pipeline.text import NormalizeOptions, normalize

Functions named `..._batch` take an Arrow string array and return one entry a text; a null stays
null. They want valid UTF-8: `normalize_batch` checks, the others take what it returned.
"""

from tonsai_pipeline.text.clusters import (
    ScriptRun,
    clusters,
    count_clusters_batch,
    count_words_batch,
    script_runs,
    words,
)
from tonsai_pipeline.text.dedup_key import dedup_key, dedup_key_batch
from tonsai_pipeline.text.label import Labelled, label_batch
from tonsai_pipeline.text.legacy_fonts import (
    GARBAGE_OCR,
    LEGACY_KHMER_FONT,
    Undamaged,
    cut_damage_batch,
    legacy_font_batch,
)
from tonsai_pipeline.text.lexicon import Lexicon
from tonsai_pipeline.text.normalize import (
    DEFAULT_OPTIONS,
    NORMALIZER_VERSION,
    RULE_NAMES,
    NormalizeOptions,
    malformed_texts,
    normalize,
    normalize_batch,
    normalize_batch_report,
)
from tonsai_pipeline.text.script import (
    Language,
    LanguageModel,
    ParagraphLanguage,
    language,
    languages_batch,
    paragraph_bytes,
    paragraph_languages,
    paragraph_languages_batch,
    script_shares_batch,
)

__all__ = [
    "DEFAULT_OPTIONS",
    "GARBAGE_OCR",
    "LEGACY_KHMER_FONT",
    "NORMALIZER_VERSION",
    "RULE_NAMES",
    "Labelled",
    "Language",
    "LanguageModel",
    "Lexicon",
    "NormalizeOptions",
    "ParagraphLanguage",
    "ScriptRun",
    "Undamaged",
    "clusters",
    "count_clusters_batch",
    "count_words_batch",
    "cut_damage_batch",
    "dedup_key",
    "dedup_key_batch",
    "label_batch",
    "language",
    "languages_batch",
    "legacy_font_batch",
    "malformed_texts",
    "normalize",
    "normalize_batch",
    "normalize_batch_report",
    "paragraph_bytes",
    "paragraph_languages",
    "paragraph_languages_batch",
    "script_runs",
    "script_shares_batch",
    "words",
]
