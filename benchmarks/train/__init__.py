"""What `python -m benchmarks.train` and `python -m benchmarks.train.gpu` measure, one file each."""
