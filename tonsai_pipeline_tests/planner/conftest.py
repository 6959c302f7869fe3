"""The tiny runs of the training tests."""

from tonsai_pipeline_tests.train.conftest import tiny_data

__all__ = ["tiny_data"]
