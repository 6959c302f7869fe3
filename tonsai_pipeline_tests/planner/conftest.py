"""The tiny runs of the training tests."""

from tonsai_pipeline_tests.train.conftest import one_thread, tiny_data

__all__ = ["one_thread", "tiny_data"]
