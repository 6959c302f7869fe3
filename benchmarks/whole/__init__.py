"""The section of `python -m benchmarks.whole`: our stages in one file, datatrove's pipeline in the other."""
