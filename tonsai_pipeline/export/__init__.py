"""What the pipeline made, in the formats of others.

dataset.py  the mixture's documents -> a Hugging Face dataset folder
shards.py   packed rows -> Megatron's indexed dataset, a Hugging Face dataset
"""
