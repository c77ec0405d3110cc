"""The leading directions of a matrix that is only multiplied by: a sparse one, or one centred without being made dense."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from longgame.types import F64

_SPARE, _ROUNDS = 16, 12
"""Directions beyond those asked for, and rounds, of the subspace iteration."""

Times = Callable[[F64], F64]


def leading(times: Times, back: Times, width: int, start: F64) -> tuple[F64, F64]:
    """Left singular vectors (n, G) and values (G,) of an (n, p) matrix, largest first, G = ``width`` or as many as there are.

    ``times`` is the matrix's product with (p, k), ``back`` its transpose's with (n, k); ``start`` (p, G + spare) is where the
    iteration begins, drawn by the caller (:func:`columns` says how many). Subspace iteration (Halko, Martinsson and Tropp,
    SIAM Review 2011): unlike a Lanczos method, whose restarts draw from a state of their own, it gives the same again. Signs
    are settled: the largest entry of a direction is positive.
    """
    basis = np.linalg.qr(times(start))[0]
    for _ in range(_ROUNDS):
        basis = np.linalg.qr(times(back(basis)))[0]
    turn, spread, _ = np.linalg.svd(back(basis).T, full_matrices=False)
    kept = np.flatnonzero(spread[:width] > 1e-6 * max(float(spread.max(initial=0.0)), 1e-12))
    vectors = basis @ turn[:, kept]
    sign = np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0))
    return vectors * sign, spread[kept]


def columns(width: int, shape: tuple[int, int]) -> int:
    """How many columns a start has for so many directions of a matrix of this ``shape``."""
    return min(width + _SPARE, *shape)
