"""Python functions on numbers and arrays -> machine code, compiled by numba at their first call and kept beside the source.

@kernel   what Python calls: typed, compiled, wrapped for Python's objects
@inner    what only kernels call: without the wrappers, which cost more to compile than most of these functions do
"""

from __future__ import annotations

from typing import Any

from numba import njit

# No function is ever passed to another one, so none needs an entry for that. numba's types do not know these options.
_KERNEL: dict[str, Any] = {"nogil": True, "no_cfunc_wrapper": True}
_INNER: dict[str, Any] = {**_KERNEL, "no_cpython_wrapper": True}

kernel = njit(cache=True, **_KERNEL)
"""Compile a function that is called from Python, without the interpreter's lock."""

inner = njit(cache=True, **_INNER)
"""Compile a function that only compiled functions call; Python cannot.

A constant as an argument (`f(data, 0)`) has a type of its own and compiles the function once more; `np.int64(0)` does not.
"""
