"""training_mixture -> a Hugging Face dataset folder with a train and a validation split.

    pointers + normalized parts ──▶ <folder>/{train,validation}/*.arrow     opens with datasets.load_from_disk

Each document stands there once; shares are realised when tokens are packed, and are kept in `shares.json`.
"""

# pyarrow.compute makes its functions when it is loaded; no checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tonsai_pipeline.schema import DumpKey, Split
from tonsai_pipeline.stages.mix.texts import SHARES_NAME, mixture_parts, read_texts
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.files import read_json, write_json
from tonsai_pipeline.storage.store import Artifact

_COLUMNS = ["doc_id", "source", "lang"]


def export_dataset(
    mixture: Artifact,
    mixed: Mapping[DumpKey, Artifact],
    normalized: Mapping[DumpKey, Artifact],
    folder: Path,
) -> dict[str, int]:
    """Write the documents of a mixture as a dataset; an older export in `folder` is replaced whole.

    Args:
        mixture: The training_mixture.
        mixed: Its documents by dump.
        normalized: normalized_documents of the same dumps.
        folder: Where the dataset goes.

    Returns:
        Documents per split.
    """
    import datasets

    folder.parent.mkdir(parents=True, exist_ok=True)
    features = datasets.Features({name: datasets.Value("string") for name in (*_COLUMNS, "text")})
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-export-") as temporary:
        splits: dict[str, Any] = {
            str(split): datasets.Dataset.from_generator(
                _documents,
                features=features,
                cache_dir=f"{temporary}/cache",
                gen_kwargs={
                    "mixed": mixed,
                    "normalized": normalized,
                    "split": split,
                },
                split=datasets.NamedSplit(str(split)),
            )
            for split in Split
        }
        finished = Path(temporary) / "dataset"
        datasets.DatasetDict(**splits).save_to_disk(finished)
        write_json(finished / SHARES_NAME, read_json(mixture.path / SHARES_NAME))
        if folder.exists():
            shutil.rmtree(folder)
        finished.replace(folder)
    return {name: len(rows) for name, rows in splits.items()}


def _documents(
    mixed: Mapping[DumpKey, Artifact], normalized: Mapping[DumpKey, Artifact], split: str
) -> Iterator[dict[str, Any]]:
    """Yield the documents of a split in catalog order."""
    for part in mixture_parts(mixed, normalized):
        table = read_part(part.pointers, [*_COLUMNS, "row_in_part", "split"])
        wanted = np.flatnonzero(pc.equal(table["split"], split).to_numpy())
        for rows, texts in read_texts(part, table["row_in_part"].to_numpy(), wanted):
            entries = table.select(_COLUMNS).take(pa.array(rows)).to_pylist()
            for entry, text in zip(entries, texts.to_pylist(), strict=True):
                yield {**entry, "text": text}
