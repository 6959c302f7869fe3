"""Parts of `benchmarks/evaluate.py`."""
