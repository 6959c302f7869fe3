"""The sections of `python -m benchmarks.read`, one file each."""
