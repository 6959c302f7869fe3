"""Raw dump formats: one reader a file, each giving records and bad rows in file order.

location ──read_dump_file──▶ RawRecord(text, row, url, title, meta) | BadRow(row, reason, position, ...)
"""

from tonsai_pipeline.storage.dumps.compression.streams import is_url
from tonsai_pipeline.storage.dumps.hub import HubLocation, is_hub
from tonsai_pipeline.storage.dumps.identity import (
    ContentHashes,
    location_bytes,
    location_mtime,
    location_stamp,
)
from tonsai_pipeline.storage.dumps.read import (
    FileFormat,
    detect_format,
    is_saved_dataset,
    read_dump_file,
)
from tonsai_pipeline.storage.dumps.records import BAD_ROW_REASONS, BadRow, RawRecord
from tonsai_pipeline.storage.dumps.stored import Stored

__all__ = [
    "BAD_ROW_REASONS",
    "BadRow",
    "ContentHashes",
    "FileFormat",
    "HubLocation",
    "RawRecord",
    "Stored",
    "detect_format",
    "is_hub",
    "is_saved_dataset",
    "is_url",
    "location_bytes",
    "location_mtime",
    "location_stamp",
    "read_dump_file",
]
