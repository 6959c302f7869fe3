"""The training job, standing still at its fourth step the first time it is started in a folder."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tonsai_pipeline.train import job
from tonsai_pipeline.train.loop.feed import RowFeed


def main() -> int:
    folder = Path(sys.argv[sys.argv.index("--run") + 1]).parent
    real = RowFeed.take

    def waits_for_a_disk_that_never_answers(self, data_step, following):
        if data_step == 3 and not (folder / "hung").exists():
            (folder / "hung").touch()
            time.sleep(600)
        return real(self, data_step, following)

    RowFeed.take = waits_for_a_disk_that_never_answers
    return job.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
