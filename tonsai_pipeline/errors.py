"""Everything that can go wrong, as one tree; each message names the thing, the place and the way out.

    TonsaiError
    ├── RecipeError        the recipe is wrong             path, key, value, the nearest valid key
    ├── DataError          the data breaks the schema      file, row, reason
    │   └── DumpError      a dump cannot be opened at all  file, reason, what may be tried
    ├── ManifestError      a folder is unfinished, damaged or missing
    ├── StorageError       the disk or the bucket said no
    ├── PartError          one part of a stage failed      stage, part, cause
    ├── MissingExtraError  a package is not installed      package, extra, the command
    └── TrainError         the job stopped by itself       step, last good checkpoint

Pure packages raise `ValueError` only; stages translate it once and add *where*.
"""

from __future__ import annotations

import re
from collections import Counter
from importlib import metadata

_DISTRIBUTION = "tonsai-pipeline"
#: Packages that are imported under another name than they are installed.
_INSTALLED_AS = {"yaml": "pyyaml"}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+).*extra == ['\"]([a-z0-9]+)['\"]")
_URL_LOGIN = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/@]*:[^\s/@]+@", re.IGNORECASE)
_URL_SECRET = re.compile(
    r"([?&][\w.-]*(?:token|signature|sig|secret|password|credential|api_?key|access_?key)[\w.-]*=)[^&\s'\"]+",
    re.IGNORECASE,
)


class TonsaiError(Exception):
    """Base of every error that a user is meant to read; secrets in URLs are left out of its message."""

    def __init__(self, message: object = "") -> None:
        super().__init__(redact(str(message)))


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


class MissingExtraError(TonsaiError):
    """A package that one of the extras brings is not installed."""


class PartError(TonsaiError):
    """One part of a stage failed with an error that is not ours; the cause is attached."""


class TrainError(TonsaiError):
    """The training or evaluation job stopped by itself.

    Args:
        message: What happened and what to do.
        step: Optimizer step at which it happened, if known.
        checkpoint: Folder of the last good checkpoint, if any.
        may_retry: Whether the same command may succeed.
    """

    def __init__(
        self,
        message: str,
        *,
        step: int | None = None,
        checkpoint: str | None = None,
        may_retry: bool = False,
    ) -> None:
        super().__init__(message)
        self.may_retry = may_retry
        self.step = step
        self.checkpoint = checkpoint


def redact(text: str) -> str:
    """Return a text with passwords and signatures in URLs left out: messages end in logs and on pages.

    Example:
        >>> redact("https://me:hunter2@example.org/a.gz?X-Amz-Signature=12ab&part=1: not found")
        'https://***@example.org/a.gz?X-Amz-Signature=***&part=1: not found'
    """
    return _URL_SECRET.sub(r"\1***", _URL_LOGIN.sub(r"\1***@", text))


def has_login(text: str) -> bool:
    """Tell whether a URL in a text carries a password."""
    return _URL_LOGIN.search(text) is not None


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Say which extra brings a module that could not be imported; None if none does."""
    module = (error.name or "").partition(".")[0]
    package = _INSTALLED_AS.get(module, module.replace("_", "-"))
    try:
        requirements = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return None
    found = [row for row in map(_REQUIREMENT.match, requirements) if row is not None]
    # Larger extras hold smaller ones: the smallest that brings the package is enough.
    sizes = Counter(row[2] for row in found)
    extras = [row[2] for row in found if row[1].lower() == package]
    if not extras:
        return None
    extra = min(extras, key=lambda name: sizes[name])
    return MissingExtraError(
        f"this needs {package}, which is not installed; "
        f"install it with: pip install '{_DISTRIBUTION}[{extra}]'"
    )
