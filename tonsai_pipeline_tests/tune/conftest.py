"""Shared with the tests of training."""

from tonsai_pipeline_tests.train.conftest import one_thread, tiny_data

__all__ = ["one_thread", "tiny_data"]
