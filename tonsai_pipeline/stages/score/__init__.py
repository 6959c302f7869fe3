"""kept_documents -> scored_documents: a score and a verdict for every document that was kept.

parts.py    one normalized part and its keep-list -> scored rows and their signals
summary.py  parts -> dumps -> sources: counts, histograms, buckets, documents to read
stage.py    one dump, and all dumps together
"""
