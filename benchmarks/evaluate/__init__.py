"""Parts of `python -m benchmarks.evaluate`."""
