"""Measurements behind the numbers in docs/; each package or module runs as `python -m benchmarks.NAME`."""
