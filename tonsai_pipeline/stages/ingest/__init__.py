"""A dump's raw files -> raw_documents: every good row as it was, every bad row with its reason.

chunks.py  a stretch of some files -> one part of documents and one of quarantine
stage.py   all files of a dump, in parallel, behind what a killed run has finished
"""
