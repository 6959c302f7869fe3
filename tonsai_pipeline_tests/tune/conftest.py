"""Shared with the tests of training."""

from tonsai_pipeline_tests.train.conftest import tiny_data

__all__ = ["tiny_data"]
