"""What a stage is, and what follows from that: keys, arguments, staleness, dependencies.

stage.py      Stage: one frozen value that declares what is made, from which settings and artifacts
pipeline.py   all stages of the product -> a checked graph: who needs whom, code versions
document.py   declarations -> the page of the docs that says what reruns when
builder.py    stages, recipe, dumps, store -> artifacts, made only where none of that key is there
job_file.py   all that a launched job is told, as one file
"""

from tonsai_pipeline.lineage.builder import Builder, DumpView
from tonsai_pipeline.lineage.pipeline import Pipeline
from tonsai_pipeline.lineage.stage import (
    Fields,
    Read,
    Stage,
    Table,
    earlier_dumps,
    every_dump,
    raw_dump,
    same_dump,
    this_dump,
    up_to_this_dump,
    whole,
)

__all__ = [
    "Builder",
    "DumpView",
    "Fields",
    "Pipeline",
    "Read",
    "Stage",
    "Table",
    "earlier_dumps",
    "every_dump",
    "raw_dump",
    "same_dump",
    "this_dump",
    "up_to_this_dump",
    "whole",
]
