"""Measurements of legacy fonts."""
