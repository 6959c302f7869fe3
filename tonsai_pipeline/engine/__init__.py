"""Map a function over part files: on this machine's cores, or as Ray tasks on a cluster.

tasks ──Engine.map──▶ results in task order
tasks ──map_parts────▶ the same, but finished parts of a killed run are not done again
"""

from tonsai_pipeline.engine.engine import Engine, open_engine
from tonsai_pipeline.engine.parts import Part, map_parts

__all__ = ["Engine", "Part", "map_parts", "open_engine"]
