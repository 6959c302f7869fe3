"""minhash_signatures of every dump -> deduplicated_documents: keep-lists, dropped documents and what they repeat.

corpus.py  where a document lies: one running number over all dumps, parts and rows
index.py   signatures -> sorted runs of exact keys and band keys, once per dump
join.py    runs of all dumps, one range of keys at a time -> exact copies, buckets of candidates
rounds.py  buckets -> verified pairs -> decisions, in rounds that a killed run goes on from
decide.py  exact copies, candidates, rounds, in this order -> who stays
tables.py  decisions -> keep-list and dropped documents of a dump
stage.py   one dump after another, and the whole corpus
summary.py what was decided, for people, and the groups of duplicates
"""
