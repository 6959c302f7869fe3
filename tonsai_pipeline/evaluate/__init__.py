"""What a model is worth: bits per byte on held-out text of each language, sample texts, and a report."""
