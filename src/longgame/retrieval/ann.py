"""Approximate nearest items for catalogues too large to try them all, and the rule which to use."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from longgame.errors import ConfigError, MissingExtra
from longgame.retrieval.exact import ExactIndex, Index
from longgame.shapes import check
from longgame.types import F32, I64

EXACT_UP_TO = 100_000
"""Items up to which trying them all is fast enough; docs/retrieval.md has the measurement."""


def choose_index(vectors: F32, threads: int = 1) -> Index:
    """Exact up to ``EXACT_UP_TO`` items, a graph beyond it, or exact anyway where faiss is not installed."""
    if len(vectors) <= EXACT_UP_TO:
        return ExactIndex(vectors)
    try:
        return HnswIndex(vectors, threads=threads)
    except MissingExtra:
        return ExactIndex(vectors)


class HnswIndex:
    """A navigable small-world graph (faiss), inner product. Built with one thread it is the same every time."""

    def __init__(self, vectors: F32, links: int = 32, effort: int = 100, search_effort: int = 128, threads: int = 1) -> None:
        """``vectors`` (I, D) are copied.

        ``links`` per item and ``effort`` of building buy recall with memory and time once; ``search_effort``
        buys it with time at each query, and is at least n. More than one thread builds faster, but the graph,
        and so which near-ties it finds, then depends on timing.
        """
        if links < 2 or effort < 1 or search_effort < 1 or threads < 1:
            got = f"links={links}, effort={effort}, search_effort={search_effort}, threads={threads}"
            raise ConfigError(f"HnswIndex: links must be at least 2 and the others at least 1, got {got}")
        sizes = check({}, ("vectors", vectors, "I D"))
        self._faiss = _faiss()
        self._faiss.omp_set_num_threads(threads)
        self._search_effort = search_effort
        self._size, self._width = sizes["I"], sizes["D"]
        self._graph = self._faiss.IndexHNSWFlat(self._width, links, self._faiss.METRIC_INNER_PRODUCT)
        self._graph.hnsw.efConstruction = effort
        if self._size:
            self._graph.add(np.ascontiguousarray(vectors, np.float32))

    def __len__(self) -> int:
        return self._size

    def search(self, queries: F32, n: int) -> tuple[I64, F32]:
        check({"D": self._width}, ("queries", queries, "B D"))
        n = max(0, min(n, self._size))
        if n == 0 or len(queries) == 0:
            return np.empty((len(queries), n), np.int64), np.empty((len(queries), n), np.float32)
        how = self._faiss.SearchParametersHNSW(efSearch=max(self._search_effort, 2 * n))
        scores, positions = self._graph.search(np.ascontiguousarray(queries, np.float32), n, params=how)
        scores = np.where(positions >= 0, scores, -np.inf).astype(np.float32)
        # faiss orders equal scores as it met them.
        order = np.lexsort((np.where(positions >= 0, positions, self._size), -scores), axis=-1)
        return np.take_along_axis(positions, order, 1).astype(np.int64), np.take_along_axis(scores, order, 1)


def _faiss() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SWIG wrappers warn of themselves on Python 3.12 and later
            import faiss
    except ImportError:
        raise MissingExtra("the approximate index", "faiss-cpu", "ann") from None
    return faiss
