"""The sections of `python -m benchmarks.tokenize_pack`, one file each."""
