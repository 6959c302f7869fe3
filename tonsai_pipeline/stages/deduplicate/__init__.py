"""minhash_signatures, every dump -> deduplicated_documents: keep-lists, dropped documents with their twins.

corpus.py   where a document lies: one running number over all dumps, parts and rows
index.py    signatures -> sorted runs of exact keys and band keys, once per dump
join.py     runs of all dumps, one range of keys at a time -> exact twins, buckets of candidates
rounds.py   buckets -> verified pairs -> decisions, in rounds that a killed run goes on from
tables.py   decisions -> keep-lists and dropped documents, part by part
summary.py  all dumps -> groups, drop rates, pairs to look at, guards
run.py      the chain over dumps that ties them together
"""

from tonsai_pipeline.stages.deduplicate.run import STAGE_VERSION, DeduplicateReport, deduplicate

__all__ = ["STAGE_VERSION", "DeduplicateReport", "deduplicate"]
