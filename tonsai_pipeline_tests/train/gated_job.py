"""The training job, whose processes wait before a step until a file `go` lies beside their run.

waits-<rank>-of-<processes>    this process waits; asked to stop, it does not
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tonsai_pipeline.train import job
from tonsai_pipeline.train.loop.trainer import Trainer

#: After a checkpoint, and before the next one.
STEP = 15


def main() -> int:
    folder = Path(sys.argv[sys.argv.index("--run") + 1]).parent
    read = Trainer._read

    def wait_and_read(self):
        if self.step == STEP:
            (folder / f"waits-{self.backend.rank}-of-{self.backend.world_size}").touch()
            while not (folder / "go").exists() and not self.stop.is_set:
                time.sleep(0.05)
        return read(self)

    Trainer._read = wait_and_read
    return job.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
