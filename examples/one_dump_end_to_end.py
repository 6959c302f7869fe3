"""One dump, from a raw file to packed rows, without Dagster: the pipeline's own stages, called from Python.

    python examples/one_dump_end_to_end.py my_texts.jsonl.gz      # any format that docs/data.md lists
    python examples/one_dump_end_to_end.py                        # a generated dump

Results lie in ./one_dump, each in a folder named by its key: run it again and nothing is done; change the file, and
only what the change reaches is.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tonsai_pipeline.pipeline import PIPELINE, dumps_on_disk, open_builder
from tonsai_pipeline.recipe import parse_recipe
from tonsai_pipeline.storage.documents import read_part
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.storage.store import Store

HOME = Path("one_dump").absolute()


def main() -> None:
    """Build every asset up to the packed rows and say what is in each."""
    if len(sys.argv) > 1:
        dump = Path(sys.argv[1]).absolute()
    else:
        from tonsai_pipeline.synthetic.dumps import write_synthetic_dumps

        write_synthetic_dumps(HOME / "raw")
        dump = HOME / "raw" / "khm_news@20260901.jsonl.gz"
    settings = {
        "name": "one_dump",
        "sources": [{"name": "texts", "lang": "khm", "path": str(dump)}],
        "mixture": {"languages": {"khm": 1.0}, "validation": {"frac": 0.05}},
        "tokenizer": {"vocab_size": 2048},
        "packing": {"seq_len": 256},
    }
    recipe = parse_recipe(settings, where=__file__, folder=HOME)
    store = Store(Layout(HOME, recipe.name))
    builder = open_builder(recipe, store, dumps_on_disk(recipe, store, HOME))
    for name in PIPELINE.up_to("packed_shards"):
        for key in builder.dumps.versions if PIPELINE[name].each_dump else [None]:
            artifact = builder.build(name, key)
            counts = [(k, v) for k, v in artifact.report.items() if isinstance(v, int)]
            print(f"{name:24}", *(f"{k} {v:,}" for k, v in counts[:4]))

    (key,) = builder.dumps.versions
    first = read_part(builder.build("normalized_documents", key).parts()[0]).slice(0, 1)
    print("\nthe first document:", first["text"][0].as_py()[:200])


if __name__ == "__main__":
    main()
