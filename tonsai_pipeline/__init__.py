"""From raw Khmer and English dumps to a trained language model, as one Dagster asset graph.

    raw dumps -> documents -> normalized -> deduplicated -> scored -> mixture -> tokenizer -> shards -> model -> report

Importing this package imports nothing heavy. The packages and what may import what are drawn in `docs/architecture.md`.
"""

__version__ = "0.1.0"
