"""Data sets of the Hugging Face library -> records: from the Hub, or from a folder on disk.

hub://<id>?config=..&split=.. ──read_hub──▶ RawRecord | BadRow       over the network, streaming
folder of save_to_disk        ──read_saved──▶ RawRecord | BadRow     memory-mapped
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

import pyarrow as pa

from tonsai_pipeline.errors import DumpError
from tonsai_pipeline.storage.dumps.records import (
    BadRow,
    RawRecord,
    ReadOptions,
)
from tonsai_pipeline.storage.dumps.tables.arrow_rows import has_column, records_of

_SCHEME = "hub://"
_BATCH_ROWS = 512


@dataclass(frozen=True)
class HubLocation:
    """Which rows of which data set; fields as in the recipe's `hub` section.

    Example:
        >>> HubLocation("org/data", config="khm", max_samples=10).url
        'hub://org/data?config=khm&split=train&max_samples=10'
        >>> HubLocation.parse("hub://org/data?config=khm&split=train&max_samples=10").config
        'khm'
    """

    id: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    streaming: bool = True
    max_samples: int | None = None

    @property
    def url(self) -> str:
        """One string that says it all, the form kept in a dump's file list."""
        fields = {
            "config": self.config,
            "split": self.split,
            "revision": self.revision,
            "streaming": None if self.streaming else "false",
            "max_samples": self.max_samples,
        }
        query = urlencode({name: value for name, value in fields.items() if value is not None})
        return f"{_SCHEME}{quote(self.id)}?{query}"

    @classmethod
    def parse(cls, url: str) -> HubLocation:
        """Read the form that `url` writes.

        Raises:
            DumpError: It is not such a URL.
        """
        path, _, query = url.removeprefix(_SCHEME).partition("?")
        fields: dict[str, Any] = {name: values[0] for name, values in parse_qs(query).items()}
        try:
            if "max_samples" in fields:
                fields["max_samples"] = int(fields["max_samples"])
            fields["streaming"] = fields.get("streaming") != "false"
            return cls(unquote(path), **fields)
        except (TypeError, ValueError) as error:
            raise DumpError(f"{url}: not a Hub location: {error}") from error

    def __str__(self) -> str:
        config = f", config '{self.config}'" if self.config else ""
        revision = f", revision '{self.revision}'" if self.revision else ""
        return f"Hub data set '{self.id}'{config}, split '{self.split}'{revision}"


def is_hub(location: str) -> bool:
    """Tell a Hub location from a file."""
    return location.startswith(_SCHEME)


def read_hub(location: str, options: ReadOptions) -> Iterator[RawRecord | BadRow]:
    """Read a data set of the Hub.

    Raises:
        DumpError: It does not resolve, or the network fails; the message names id, config and split.
    """
    hub = HubLocation.parse(location)
    rows = _load(hub)
    _check_columns(rows, hub, options)
    if hub.max_samples is not None:
        rows = rows.take(hub.max_samples)
    if options.start_row:
        rows = rows.skip(options.start_row)
    row = options.start_row
    batches = _batches(rows)
    try:
        while (batch := next(batches, None)) is not None:
            yield from records_of(batch, row, options)
            row += batch.num_rows
    # The library and the network below it have dozens of errors.
    except Exception as error:
        raise DumpError(
            f"{hub}: reading failed at row {row:,}: {type(error).__name__}: {error}; "
            "run the same command again, finished parts are kept"
        ) from error


def _batches(rows: Any) -> Iterator[pa.Table]:
    """Yield a data set as Arrow: a date that Python cannot hold then costs its field and not the data set."""
    import datasets

    if isinstance(rows, datasets.Dataset | datasets.IterableDataset):
        yield from rows.with_format("arrow").iter(batch_size=_BATCH_ROWS)
    else:
        yield from (pa.Table.from_pylist([fields]) for fields in rows)


def list_files(hub: HubLocation) -> list[str]:
    """Return the files of a split as `hf://` URLs, for those who read them one by one.

    Raises:
        DumpError: It does not resolve; the message names id, config and split.
    """
    import datasets

    try:
        builder = datasets.load_dataset_builder(hub.id, hub.config, revision=hub.revision)
        files = builder.config.data_files
    except Exception as error:  # the library and the network below it have dozens of errors
        raise DumpError(f"{hub}: {_explain(error, hub)} ({_first_line(error)})") from error
    found = [str(file) for file in (files or {}).get(hub.split, ())]
    if not found:
        names = ", ".join(map(str, files or {})) or "none"
        raise DumpError(f"{hub}: has no files of that split; splits with files: {names}")
    return found


def read_saved(location: str, options: ReadOptions) -> Iterator[RawRecord | BadRow]:
    """Read a folder written by `Dataset.save_to_disk`.

    Raises:
        DumpError: It is no such folder, or holds several splits and none was named.
    """
    dataset = _load_saved(location)
    num_rows = len(dataset)
    num_bytes = sum(file.stat().st_size for file in Path(location).rglob("*") if file.is_file())
    if not has_column(dataset.features.arrow_schema, options.text_column):
        names = ", ".join(dataset.column_names)
        detail = (
            f"no column '{options.text_column}'; columns: {names} (set the source's text_column)"
        )
        yield BadRow(0, None, "missing_text_column", detail, "", num_rows, num_bytes)
        return
    arrow = dataset.with_format("arrow")
    for start in range(options.start_row, num_rows, _BATCH_ROWS):
        try:
            batch = arrow[start : start + _BATCH_ROWS]
        except Exception as error:  # noqa: BLE001 (damaged files raise whatever their bytes happen to mean)
            lost = min(_BATCH_ROWS, num_rows - start)
            detail = f"{lost:,} rows: {_first_line(error)}"
            lost_bytes = num_bytes * lost // num_rows
            yield BadRow(start, None, "corrupt_file", detail, "", lost, lost_bytes)
            continue
        yield from records_of(batch, start, options)


def _load(hub: HubLocation) -> Any:
    import datasets

    try:
        rows: Any = datasets.load_dataset(
            hub.id,
            hub.config,
            split=hub.split,
            revision=hub.revision,
            streaming=hub.streaming,
        )
    except Exception as error:  # the library and the network below it have dozens of errors
        raise DumpError(f"{hub}: {_explain(error, hub)} ({_first_line(error)})") from error
    return rows


def _explain(error: Exception, hub: HubLocation) -> str:
    import datasets.exceptions as known

    if isinstance(error, known.DatasetNotFoundError):
        return (
            "does not exist or is not public; check the id, or log in with: hf auth login "
            "(and accept its terms on its page if it is gated)"
        )
    message = str(error)
    if "BuilderConfig" in message or "Config name is missing" in message:
        return "has no such config; name one of those listed"
    if "split" in message.lower():
        return f"has no split '{hub.split}'; name one of those listed"
    if isinstance(error, OSError) or "offline" in message.lower():
        return (
            "cannot be reached; check the network (HF_ENDPOINT, HF_HUB_OFFLINE), or download it once and "
            "give the source its folder as 'path'"
        )
    return "cannot be loaded"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"


def _check_columns(rows: Any, hub: HubLocation, options: ReadOptions) -> None:
    """Fail early where the data set says what its columns are."""
    names: Iterable[str] | None = rows.column_names
    if names is None or options.text_column.partition(".")[0] in names:
        return
    raise DumpError(
        f"{hub}: no column '{options.text_column}'; columns: {', '.join(names)} (set the source's text_column)"
    )


def _load_saved(location: str) -> Any:
    import datasets

    try:
        loaded = datasets.load_from_disk(location)
    except FileNotFoundError as error:
        raise DumpError(f"{location}: not a folder written by save_to_disk: {error}") from error
    except Exception as error:  # a damaged folder fails in many ways
        raise DumpError(
            f"{location}: cannot be loaded: {_first_line(error)}; save it again"
        ) from error
    if isinstance(loaded, datasets.DatasetDict):
        names = ", ".join(str(name) for name in loaded)
        raise DumpError(
            f"{location}: holds the splits {names}; name one as the path, for example "
            f"{Path(location) / str(next(iter(loaded), 'train'))}"
        )
    return loaded
