"""scored_documents -> training_mixture: pointers to the documents of both splits, and the target share of each source.

groups.py  what the whole corpus says about one dump: groups of duplicates, borders of quality buckets
stage.py   one dump -> its documents, split and repeats; all dumps -> shares
shares.py  sizes, weights, languages -> target shares
texts.py   pointers -> the texts themselves, with personal data masked
"""
