"""tokenized_documents and shares -> packed_shards: rows of tokens in training order.

plan.py   documents with their token counts -> the order in which the run reads them
rows.py   a window of that order -> one shard
stage.py  both splits, window by window
"""
