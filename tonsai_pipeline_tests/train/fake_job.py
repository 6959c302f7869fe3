"""A job without a network: does what its RUN.json says. Started by `test_launch.py` as a module.

{"output_dir": ..., "do": "finish" | "wait" | "ignore" | "vanish" | "leave_child" | "fail"}
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    run = json.loads(Path(sys.argv[sys.argv.index("--run") + 1]).read_text())
    out, what = Path(run["output_dir"]), run["do"]
    (out / "pid").write_text(str(os.getpid()))

    def finish(state: str) -> None:
        (out / "status.json").write_text(json.dumps({"state": state, "step": 3}))

    def save(*_: object) -> None:
        time.sleep(0.3)
        finish("interrupted")
        sys.exit(0)

    if what == "finish":
        finish("finished")
        sys.exit(9)  # must not matter
    if what == "vanish":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "fail":
        record = {"time": 2.0, "is_ours": False, "error": "RuntimeError", "message": "peer lost"}
        (out / "failure-alone-0.json").write_text(json.dumps(record))
        record = {
            **record,
            "time": 3.0,
            "is_ours": True,
            "error": "DataError",
            "message": "bad row",
        }
        (out / "failure-alone-1.json").write_text(json.dumps({**record, "step": 7}))
        sys.exit(1)
    if what == "leave_child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (out / "child").write_text(str(child.pid))
        finish("finished")
        sys.exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if what == "ignore" else save)
    (out / "ready").touch()
    time.sleep(600)


if __name__ == "__main__":
    main()
