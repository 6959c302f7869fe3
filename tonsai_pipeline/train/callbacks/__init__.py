"""What happens beside the steps: guards, records, validation, checkpoints, samples, freezing, limits."""
