"""A tokenizer folder or Hub id -> a tokenizer with begin, end and padding decided.

tokenizer.json, tokenizer_config.json ──▶ BaseTokenizer     padding is added where it is missing or is the end
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from tokenizers import AddedToken, Tokenizer

from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.tokenizer.assemble import PAD

_FILES = ("tokenizer.json", "tokenizer_config.json")
_OPTIONAL = ("special_tokens_map.json", "chat_template.jinja")


@dataclass(frozen=True)
class BaseTokenizer:
    """A tokenizer that was taken over.

    Args:
        tokenizer: The tokenizer.
        bos: Token that begins a document; the end token where the tokenizer has none.
        eos: Token that ends one.
        pad: Token that fills rows.
        config: Its tokenizer_config.json.
        chat_template: Its chat template, or None.
    """

    tokenizer: Tokenizer
    bos: str
    eos: str
    pad: str
    config: dict[str, Any]
    chat_template: str | None


def load_base(base: str, revision: str | None = None) -> BaseTokenizer:
    """Open the tokenizer in a folder or on the Hub.

    Raises:
        RecipeError: There is no such folder and no such repository, or it holds no tokenizer.json.
        DataError: The files are damaged, or no token ends a text.
    """
    folder = Path(base)
    files = _read_folder(folder) if folder.is_dir() else _download(base, revision)
    try:
        tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode())
        config: dict[str, Any] = orjson.loads(files["tokenizer_config.json"])
        roles: dict[str, Any] = orjson.loads(files.get("special_tokens_map.json", b"{}"))
    except Exception as error:  # tokenizers raises bare Exception for whatever it cannot read
        raise DataError(f"{base}: its tokenizer cannot be read: {error}") from error
    eos = _role("eos_token", config, roles)
    if eos is None:
        raise DataError(f"{base}: tokenizer_config.json names no eos_token; add one")
    pad = _role("pad_token", config, roles)
    if pad is None or pad == eos:
        pad = PAD
        tokenizer.add_special_tokens([AddedToken(PAD, special=True, normalized=False)])
    template = files.get("chat_template.jinja", b"").decode() or config.pop("chat_template", None)
    return BaseTokenizer(
        tokenizer=tokenizer,
        bos=_role("bos_token", config, roles) or eos,
        eos=eos,
        pad=pad,
        config=config,
        chat_template=template if isinstance(template, str) else None,
    )


def _read_folder(folder: Path) -> dict[str, bytes]:
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise RecipeError(f"tokenizer.base: {folder} has no {missing[0]}: not a tokenizer folder")
    names = [name for name in (*_FILES, *_OPTIONAL) if (folder / name).is_file()]
    return {name: (folder / name).read_bytes() for name in names}


def _download(repository: str, revision: str | None) -> dict[str, bytes]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    files = {}
    for name in (*_FILES, *_OPTIONAL):
        try:
            path = hf_hub_download(repository, name, revision=revision)
        except EntryNotFoundError as error:
            if name in _FILES:
                raise RecipeError(f"tokenizer.base: {repository} has no {name}") from error
            continue
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise RecipeError(
                f"tokenizer.base: '{repository}' is neither a folder here nor a Hub repository that can be "
                f"reached: {error}"
            ) from error
        files[name] = Path(path).read_bytes()
    return files


def _role(name: str, *configs: dict[str, Any]) -> str | None:
    """Return the token of a role, written as a string or as a description of an added token."""
    for config in configs:
        value = config.get(name)
        if isinstance(value, dict):
            value = value.get("content")
        if value:
            return str(value)
    return None
