"""The training job: packed_shards ──launch──▶ torchrun ──job──▶ checkpoints, metrics, a Hugging Face model."""
