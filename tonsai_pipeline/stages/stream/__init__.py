"""Dumps larger than the disk: read, normalized and let go, a few files at a time."""
