"""Loops that numpy has no product for, compiled when they are first called.

The loops are plain functions over arrays, which a reader and a test can run as they stand, slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from longgame.errors import MissingExtra


@cache
def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """``loop`` as machine code of this processor: some seconds, once; then it lies beside the code, or in the user's cache.

    One thread, so the same arrays give the same result; sums are reordered for speed, so another processor may round
    differently. Raises MissingExtra without numba.
    """
    try:
        import numba
    except ImportError:
        raise MissingExtra(f"the loop {loop.__module__}.{loop.__name__}", "numba", "factors") from None
    ways: dict[str, Any] = {"fastmath": True, "nogil": True, "error_model": "numpy"}
    try:
        fast: Callable[..., Any] = numba.njit(cache=True, **ways)(loop)
    except RuntimeError:  # there is no folder that can be written to
        fast = numba.njit(**ways)(loop)
    return fast
