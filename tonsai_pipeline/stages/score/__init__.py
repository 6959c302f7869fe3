"""deduplicated_documents -> scored_documents: a score and a verdict for every document that was kept.

examples.py     documents of the sources named good and bad -> lines to train on and to measure with
fit.py          lines -> a fastText model, in a process of its own
classifiers.py  the two together, and how well the model does
parts.py        one normalized part and its keep-list -> scored rows and their signals
summary.py      parts -> dumps -> sources: counts, histograms, buckets, documents to read
run.py          all dumps, each with a cache of its own
"""

from tonsai_pipeline.stages.score.run import STAGE_VERSION, ScoreReport, drift, score

__all__ = ["STAGE_VERSION", "ScoreReport", "drift", "score"]
