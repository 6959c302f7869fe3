"""The sections of `python -m benchmarks.dedup`; each returns a dict of numbers."""
