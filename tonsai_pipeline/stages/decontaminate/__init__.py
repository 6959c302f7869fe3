"""Evaluation sets and normalized_documents -> contaminated_documents: those that hold text of an evaluation item.

evaluation_sets.py  the files of the recipe's evaluation sets -> an index of their n-grams, made once
stage.py            one dump and that index -> the documents that hold much of an item
"""
