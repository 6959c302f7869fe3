"""`many_runs`, in half precision through the emulated attention kernel; fp16 is allowed, as on a GPU."""

from __future__ import annotations

from tonsai_pipeline_tests.model.emulated_kernel import emulated
from tonsai_pipeline_tests.train import many_runs


def main() -> None:
    from deepspeed.accelerator import get_accelerator

    get_accelerator().is_fp16_supported = lambda: True
    with emulated():
        many_runs.main()


if __name__ == "__main__":
    main()
