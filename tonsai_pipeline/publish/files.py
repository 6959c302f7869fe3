"""A model folder -> the files of a release: listed names alone, nothing of this machine in them, a manifest.

model/ ──copy_listed──▶ release/ ──find_faults──▶ [] or what must not leave
                           └──write_manifest──▶ manifest.json, last
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import orjson

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.storage.files import digest_file, read_json, write_json

MANIFEST_NAME = "manifest.json"
_FORMAT = "tonsai-release/1"
#: What others may be given; everything else in a model folder stays here.
_MODEL_FILES = re.compile(
    r"config\.json|generation_config\.json|chat_template\.jinja|tokenizer\.json|tokenizer_config\.json|"
    r"special_tokens_map\.json|normalizer_config\.json|tonsai_tokenizer\.json|tokenization_as_it_is\.py|"
    r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json"
)
_WRITTEN = re.compile(r"README\.md|DATA_CARD\.md|evaluation\.json|manifest\.json")
#: Keys in which libraries keep where a model was loaded from.
_ORIGIN_KEYS = ("_name_or_path", "name_or_path", "base_model_name_or_path")
#: A path of a machine in what people read.
_LOCAL_PATH = re.compile(
    r"(?<![\w/:.])(?:/(?:home|root|Users|tmp|mnt|media|work|workspace|var|private|content|opt)/|[A-Za-z]:\\)"
    r"[\w.@-]+"
)
#: First bytes of pickles, and of the zip files in which torch keeps them.
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


def copy_listed(model_dir: Path, release: Path) -> None:
    """Copy the files of a model that others may be given; JSON loses where it was loaded from.

    Raises:
        DataError: There are no weights, or they are in no safetensors file.
    """
    release.mkdir(parents=True)
    for path in sorted(model_dir.iterdir()):
        if not _MODEL_FILES.fullmatch(path.name) or not path.is_file():
            continue
        if path.name.endswith("config.json"):
            values = cast("dict[str, Any]", read_json(path))
            write_json(
                release / path.name, {k: v for k, v in values.items() if k not in _ORIGIN_KEYS}
            )
        else:
            shutil.copyfile(path, release / path.name)
    if not list(release.glob("model*.safetensors")):
        raise DataError(
            f"{model_dir}: no model*.safetensors in it, and no other form of weights is published"
        )


def find_faults(release: Path, private: Sequence[Path]) -> list[str]:
    """Say what must not leave this machine.

    Args:
        release: The folder.
        private: Places that must not be named in any file.
    """
    found = []
    names = {str(path).encode() for path in private if len(path.parts) > 2}
    for path in sorted(release.rglob("*")):
        if path.is_dir():
            continue
        name = path.relative_to(release).as_posix()
        if not (_MODEL_FILES.fullmatch(name) or _WRITTEN.fullmatch(name)):
            found.append(f"{name}: not on the list of what is published")
            continue
        data = _header(path) if path.suffix == ".safetensors" else path.read_bytes()
        if data.startswith(_PICKLES):
            found.append(f"{name}: a pickle")
        # A vocabulary may hold any string, but not the places of this run.
        places = [place.decode() for place in names if place in data]
        if not places and path.name != "tokenizer.json":
            places = _LOCAL_PATH.findall(data.decode("utf-8", "replace"))
        if places:
            found.append(f"{name}: names {places[0]}, a path of this machine")
    return found


def write_manifest(release: Path) -> dict[str, Any]:
    """Write the list of files with sizes and hashes."""
    files = [
        {
            "path": path.relative_to(release).as_posix(),
            "num_bytes": path.stat().st_size,
            "sha256": digest_file(path),
        }
        for path in sorted(release.rglob("*"))
        if path.is_file() and path.name != MANIFEST_NAME
    ]
    manifest = {"format": _FORMAT, "files": files}
    write_json(release / MANIFEST_NAME, manifest)
    return manifest


def check_manifest(release: Path) -> list[str]:
    """Return the paths of a release, its manifest last, after comparing every byte.

    Raises:
        DataError: A file changed since the gate looked at it, or another one stands there.
    """
    manifest = cast("dict[str, Any]", read_json(release / MANIFEST_NAME))
    listed = {entry["path"]: entry["sha256"] for entry in manifest["files"]}
    there = {p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file()}
    changed = sorted({*listed, MANIFEST_NAME} ^ there) or [
        name for name, digest in listed.items() if digest_file(release / name) != digest
    ]
    if changed:
        raise DataError(
            f"{release / changed[0]}: not as it was when the gate looked at it; run again"
        )
    return [*sorted(listed), MANIFEST_NAME]


def _header(path: Path) -> bytes:
    """Return the JSON at the start of a safetensors file."""
    with path.open("rb") as stream:
        header = stream.read(min(int.from_bytes(stream.read(8), "little"), 100 << 20))
    try:
        orjson.loads(header)
    except orjson.JSONDecodeError:
        return _PICKLES[0]
    return header
