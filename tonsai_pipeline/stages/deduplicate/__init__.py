"""minhash_signatures, every dump -> deduplicated_documents: keep-lists, dropped documents with their twins.

corpus.py         where a document lies: one running number over all dumps, parts and rows; who comes first
index.py          signatures -> sorted runs of exact keys and band keys, once per dump
contamination.py  evaluation sets -> documents of a dump that hold text of them, once per dump
join.py           runs of all dumps, one range of keys at a time -> exact twins, buckets of candidates
rounds.py         buckets -> verified pairs -> decisions, in rounds that a killed run goes on from
decide.py         exact copies, candidates, rounds, in this order -> who stays
ranking.py        policy best_quality: the corpus ranked and decided at once
tables.py         decisions -> keep-lists and dropped documents, part by part
repetition.py     keep-lists -> keep-lists without documents that are mostly lines of many others
summary.py        all dumps -> groups, drop rates, pairs to look at, guards
run.py            the chain over dumps that ties them together
"""

from tonsai_pipeline.stages.deduplicate.contamination import evaluation_inputs
from tonsai_pipeline.stages.deduplicate.run import STAGE_VERSION, DeduplicateReport, deduplicate

__all__ = ["STAGE_VERSION", "DeduplicateReport", "deduplicate", "evaluation_inputs"]
