"""Tasks of our own for lm-eval, and what runs them; the extra `harness`.

lm_eval --include_path "$(python -m tonsai_pipeline.evaluate.harness)" --tasks tonsai_khm_pairs ...
"""

from tonsai_pipeline.evaluate.harness.run import TASKS_DIR, HarnessScore, check_harness, run_harness

__all__ = ["TASKS_DIR", "HarnessScore", "check_harness", "run_harness"]
