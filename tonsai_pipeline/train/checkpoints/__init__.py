"""The training state on disk and behind a URL: written, checked, found again."""
