"""The sections of `python -m benchmarks.quality`, one file each."""
