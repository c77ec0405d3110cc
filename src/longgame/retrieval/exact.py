"""The n best of many scores, and nearest items by trying them all: the oracle for anything faster."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from longgame.shapes import check
from longgame.types import F32, I64


class Index(Protocol):
    """Finds the vectors with the largest inner product."""

    def search(self, queries: F32, n: int) -> tuple[I64, F32]:
        """(B, D) -> positions (B, n') and scores (B, n'), best first, n' = min(n, I); ties by position.

        An approximate index may find fewer: the row then ends in position -1 and score -inf.
        """


def top(scores: F32, n: int) -> I64:
    """(I,) -> (n',) positions of the ``n`` largest, best first, n' = min(n, I). Of equal scores the lower position wins.

    >>> top(np.array([1, 3, 2, 3, 3], np.float32), 2)
    array([1, 3])
    """
    size = len(scores)
    n = max(0, min(n, size))
    if n == 0:
        return np.empty(0, np.int64)
    if n < size:
        # argpartition would be enough but for ties at the cut, of which it keeps any: that must not depend on luck.
        cut = np.partition(scores, size - n)[size - n]
        above = np.flatnonzero(scores > cut)
        level = np.flatnonzero(scores == cut)[: n - len(above)]
        chosen = np.concatenate([above, level])
    else:
        chosen = np.arange(size)
    # Stable, and `chosen` ascends within each of its two parts, whose scores never meet: ties stay in order.
    order = np.argsort(-scores[chosen], kind="stable")
    return np.asarray(chosen[order], np.int64)


class ExactIndex:
    """Every inner product, in one matrix product a batch."""

    def __init__(self, vectors: F32) -> None:
        """``vectors`` (I, D) are kept, not copied."""
        check({}, ("vectors", vectors, "I D"))
        self._vectors = np.ascontiguousarray(vectors, np.float32)

    def __len__(self) -> int:
        return len(self._vectors)

    def search(self, queries: F32, n: int) -> tuple[I64, F32]:
        check({"D": self._vectors.shape[1]}, ("queries", queries, "B D"))
        found = max(0, min(n, len(self._vectors)))
        positions = np.empty((len(queries), found), np.int64)
        scores = np.empty((len(queries), found), np.float32)
        for row, query in enumerate(queries):
            # One query at a time: a row's scores do not depend on its neighbours, nor memory on the batch.
            every = self._vectors @ query
            positions[row] = top(every, found)
            scores[row] = every[positions[row]]
        return positions, scores
