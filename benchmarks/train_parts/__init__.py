"""Parts of benchmarks/train.py and benchmarks/train_gpu.py."""
