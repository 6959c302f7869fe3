"""The sections of `python -m benchmarks.legacy`, one file each."""
