"""seed, scale -> a synthetic corpus: Khmer and English dumps of a grammar of our own, with planted and recorded truth.

    grammar ──▶ documents ──defects──▶ copies and junk ──▶ corpus (what stands where) ──▶ dumps + truth.jsonl

The corpus of `tonsai demo` and of the tests. Nothing in it was taken from anyone.
"""
