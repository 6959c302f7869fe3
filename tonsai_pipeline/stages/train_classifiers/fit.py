"""A training file -> a fastText model file, in a process of its own: `python fit.py train.txt model.bin {...}`.

fastText 0.9.3 with one thread fills a tenth of its input matrix with random numbers and leaves the rest as
malloc returned it (facebookresearch/fastText issue 1061): in a long-lived process that is old heap, so the same
seed gives other models, or "Encountered NaN". Here malloc is told to take large blocks fresh from the kernel,
which are zero, and to zero what it reuses; then one thread and one seed give one file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tonsai_pipeline.errors import DataError

#: Read by glibc when a process starts. PERTURB 255 writes the complement, 0, into every new block.
_CLEAN_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_PERTURB_": "255"}


def fit_model(train: Path, model: Path, settings: Mapping[str, float]) -> None:
    """Train a supervised model; the same file and settings give the same bytes.

    Args:
        train: Lines of label and text.
        model: Where the model goes.
        settings: Arguments of `fasttext.train_supervised`.

    Raises:
        DataError: fastText refused; the message has its words.
    """
    # By file, not by module: the package around it takes seconds to import. -P: its folder is not a path.
    command = [sys.executable, "-P", __file__, str(train), str(model), json.dumps(dict(settings))]
    done = subprocess.run(
        command, env={**os.environ, **_CLEAN_MALLOC}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise DataError(
            f"{train}: fastText could not train on it: {said[-1] if said else done.returncode}"
        )


def _main() -> None:
    import fasttext

    train, model, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    fasttext.train_supervised(input=train, thread=1, verbose=0, **settings).save_model(model)


if __name__ == "__main__":
    _main()
