"""Everything that can go wrong, as one tree; each message names the thing, the place and the way out.

    TonsaiError
    ├── RecipeError        the recipe is wrong             path, key, value, the nearest valid key
    ├── DataError          the data breaks the schema      file, row, reason
    │   └── DumpError      a dump cannot be opened at all  file, reason, what may be tried
    ├── ManifestError      a folder is unfinished, damaged or missing
    ├── StorageError       the disk or the bucket said no
    ├── PartError          one part of a stage failed      stage, part, cause
    └── TrainError         the job stopped by itself       step, last good checkpoint

Pure rooms raise `ValueError` only; stages translate it once and add *where*.
"""

from __future__ import annotations


class TonsaiError(Exception):
    """Base of every error that a user is meant to read."""


class RecipeError(TonsaiError):
    """The recipe is wrong: unknown key, value out of range, a source without a path."""


class DataError(TonsaiError):
    """The data breaks the schema; the message has file, row and reason."""


class DumpError(DataError):
    """A dump cannot be read at all: missing file, unknown format, a Hub id that does not resolve."""


class ManifestError(TonsaiError):
    """An artifact folder is missing, unfinished or damaged."""


class StorageError(TonsaiError):
    """The disk or the bucket refused: full, read-only, no permission."""


class PartError(TonsaiError):
    """One part of a stage failed with an error that is not ours; the cause is attached."""


class TrainError(TonsaiError):
    """The training or evaluation job stopped by itself.

    Args:
        message: What happened and what to do.
        step: Optimizer step at which it happened, if known.
        checkpoint: Folder of the last good checkpoint, if any.
    """

    def __init__(
        self, message: str, *, step: int | None = None, checkpoint: str | None = None
    ) -> None:
        super().__init__(message)
        self.step = step
        self.checkpoint = checkpoint
