"""Stored bytes of a file, compressed or not -> the bytes it holds, as far as it is whole."""
