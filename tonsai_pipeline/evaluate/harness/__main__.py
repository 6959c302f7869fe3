"""Nothing -> the folder of our tasks on stdout, for `lm_eval --include_path`."""

from tonsai_pipeline.evaluate.harness import TASKS_DIR

print(TASKS_DIR)  # noqa: T201
