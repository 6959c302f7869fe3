"""Importing this makes numba read its tables of types and functions, which its first compiled call does otherwise.

A third of a second, and half of that is SciPy's linear algebra, whose routines are in the tables. The fork server
imports it, so that no worker has to.
"""

from tonsai_pipeline.compiled import kernel


@kernel
def _nothing() -> int:
    return 0


_nothing()
