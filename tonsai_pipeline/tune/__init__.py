"""Instruction tuning: the training job on rows that say what is learned, with adapters or without."""
