"""Parts of `read.py`."""
