"""The command `tonsai`, also as `python -m tonsai_pipeline`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line."""
    # Images of containers often forbid bytecode; each of a run's processes would then compile Dagster and torch anew,
    # 2 to 3 s of CPU a process. Files that cannot be written are skipped by Python itself.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    from tonsai_pipeline.cli import main as run

    run()


if __name__ == "__main__":
    main()
