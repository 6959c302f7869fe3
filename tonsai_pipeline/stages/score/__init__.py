"""deduplicated_documents -> scored_documents: a score and a verdict for every document that was kept.

classifiers.py  documents of the sources named good and bad -> a fastText model with its measurements
parts.py        one normalized part and its keep-list -> scored rows and their signals
summary.py      parts -> dumps -> sources: counts, histograms, buckets, documents to read
run.py          all dumps, each with a cache of its own
"""

from tonsai_pipeline.stages.score.run import STAGE_VERSION, ScoreReport, drift, score

__all__ = ["STAGE_VERSION", "ScoreReport", "drift", "score"]
