"""The sections of tokenize_pack.py, one file each."""
