"""Documents of ids -> full rows: our pack stage beside TRL's `pack_dataset`, CPU time, fill and tokens lost."""

# pyarrow.compute makes its functions when it is loaded; no checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import texts
from benchmarks.dedup.clock import cpu_s
from benchmarks.tokenize_pack import prepared
from tonsai_pipeline.engine import open_engine
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.stages.tokenize.stage import DOCUMENT

SEQ_LEN = 2048


def measure(data: Path, work: Path, *, vocab_size: int, repeats: int) -> dict[str, Any]:
    """Pack the same documents of both languages, in turns."""
    engine = open_engine("local", num_workers=1)
    builder = prepared.open_builder(
        work,
        texts.training(data),
        engine,
        tokenizer={"vocab_size": vocab_size, "compare_gpt2": False},
        packing={"seq_len": SEQ_LEN},
    )
    prepared.shards(builder)
    dumps = builder.dumps.versions
    documents = _documents([builder.build("tokenized_documents_of_dump", d).path for d in dumps])
    num_tokens = sum(len(chunk.flatten()) for chunk in documents.column("input_ids").chunks)
    found: dict[str, Any] = {"documents": documents.num_rows, "tokens": num_tokens}
    for name in ("ours", "bfd_split", "bfd"):
        seconds, (kept, rows) = cpu_s(
            lambda name=name: _ours(builder) if name == "ours" else _trl(documents, name),
            repeats=repeats,
        )
        found[name] = {
            "tokens/s of CPU": num_tokens / seconds,
            "fill": kept / (rows * SEQ_LEN),
            "tokens lost": num_tokens - kept,
        }
    engine.close()
    return found


def _documents(folders: list[Path]) -> pa.Table:
    """Return the ids of each document, as `datasets` holds them."""
    chunks = []
    for folder in folders:
        for path in sorted(folder.glob("*.docs.npy")):
            ends = np.load(path).view(DOCUMENT)["end"]
            ids = np.fromfile(path.with_name(path.name.replace(".docs.npy", ".ids.bin")), "<u2")
            chunks.append(
                pa.ListArray.from_arrays(np.r_[0, ends].astype(np.int32), ids.astype(np.int32))
            )
    return pa.table({"input_ids": pa.chunked_array(chunks)})


def _ours(builder: Builder) -> tuple[int, int]:
    """Return the tokens and rows of our stage."""
    splits = builder.build("packed_shards", force=True).report["splits"].values()
    return sum(one["num_tokens"] for one in splits), sum(one["num_rows"] for one in splits)


def _trl(documents: pa.Table, strategy: str) -> tuple[int, int]:
    """Return the tokens and rows of TRL's packing."""
    import datasets
    from trl.data_utils import pack_dataset

    datasets.disable_progress_bars()
    packed = pack_dataset(
        datasets.Dataset(documents), SEQ_LEN, strategy, map_kwargs={"load_from_cache_file": False}
    )
    sizes = pc.list_value_length(packed.data.column("input_ids"))
    return pc.sum(sizes).as_py(), len(packed)
