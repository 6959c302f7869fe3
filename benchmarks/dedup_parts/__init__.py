"""The sections of `benchmarks/dedup.py`; each returns a dict of numbers and prints a table."""
