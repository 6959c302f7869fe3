"""A recipe -> `tonsai run` up to packed shards -> target and realised shares, epochs, effective tokens.

The whole pipeline in a scratch folder, through the command line. What is compared with the recipe are the tokens in
the shards themselves, read back, and not the report of the stage.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml

from tonsai_pipeline.cli.init import init
from tonsai_pipeline.missing import CORPUS_ASSETS, DUMP_ASSETS
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.shards import RowReader
from tonsai_pipeline.storage.store import Store

_NAME = "shares"
_ASSETS = (*DUMP_ASSETS, *CORPUS_ASSETS)
_BLOCK_ROWS = 4096


def measure_shares(data: Path, work: Path, *, vocab_size: int) -> list[dict[str, Any]]:
    """Return a row for each source of the recipe that `tonsai init` writes, and one for each language."""
    recipe = _write_recipe(data, work, vocab_size)
    command = [Path(sys.executable).with_name("tonsai"), "run", "--recipe", recipe]
    places = ["--home", work / "home", "--workers", "1"]
    subprocess.run(
        [*command, *places, "--select", ",".join(_ASSETS)], check=True, stdout=sys.stderr
    )
    store = Store(Layout(work / "home", _NAME))
    target = cast(
        "dict[str, Any]", read_json(store.current("training_mixture").path / "shares.json")
    )
    packed = store.current("packed_shards")
    tokens = _tokens(packed.path / "train")
    total = sum(tokens.values())
    rows = [
        {
            "source": name,
            "target": entry["share"],
            "realised": tokens[name] / total,
            "gap_points": 100 * abs(tokens[name] / total - entry["share"]),
            "tokens": tokens[name],
            "epochs": packed.report["sources"][name]["epochs"],
            "effective_tokens": packed.report["sources"][name]["effective_tokens"],
        }
        for name, entry in target["sources"].items()
    ]
    for language, share in target["languages"].items():
        found = sum(tokens[n] for n, e in target["sources"].items() if e["lang"] == language)
        gap = 100 * abs(found / total - share)
        rows.append(
            {
                "source": f"all {language}",
                "target": share,
                "realised": found / total,
                "gap_points": gap,
                "tokens": found,
            }
        )
    return rows


def _write_recipe(data: Path, work: Path, vocab_size: int) -> Path:
    """Write the recipe that `tonsai init` proposes for the folder, with another vocabulary."""
    path = work / f"{_NAME}.yaml"
    init(data, base=None, output=path, force=True)
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    recipe["tokenizer"]["vocab_size"] = vocab_size
    path.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def _tokens(split: Path) -> dict[str, int]:
    """Count the tokens of each source in the rows themselves."""
    reader = RowReader(split)
    reader.verify()
    counts = np.zeros(len(reader.sources), dtype=np.int64)
    for start in range(0, reader.num_rows, _BLOCK_ROWS):
        segments = reader.block(start, min(start + _BLOCK_ROWS, reader.num_rows)).segments
        np.add.at(counts, segments["source"], segments["num_tokens"].astype(np.int64))
    return dict(zip(reader.sources, counts.tolist(), strict=True))
