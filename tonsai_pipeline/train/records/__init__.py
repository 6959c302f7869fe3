"""The numbers and events of a run: metrics.jsonl, and trackers that show the same."""
