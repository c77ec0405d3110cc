"""Nearest items: trying them all with numpy, beside faiss and usearch, at three catalogue sizes.

    python benchmarks/neighbours.py [--sizes 2000,100000,1000000] [--threads 1]

Prints the time of one query for the top 100 (median), the recall of what is approximate, the time of
building, and our time over that of the anchor, faiss's exact index. Vectors are drawn: a thousand
clusters, as catalogues have, in 64 directions.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np

from longgame.retrieval import ExactIndex, HnswIndex
from longgame.types import F32, I64

WIDTH, TOP, QUERIES = 64, 100, 60
Search = Callable[[F32], I64]
"""(1, D) -> (TOP,) positions"""


def draw(count: int, seed: int) -> F32:
    """(count, WIDTH) unit rows in clusters; the clusters are the same for every seed."""
    centres = np.random.default_rng(0).standard_normal((1000, WIDTH), np.float32)
    rng = np.random.default_rng(seed)
    rows = centres[rng.integers(0, len(centres), count)] + rng.standard_normal((count, WIDTH), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def ours(vectors: F32, threads: int) -> Search:
    index = ExactIndex(vectors)
    return lambda query: index.search(query, TOP)[0][0]


def graph(vectors: F32, threads: int) -> Search:
    index = HnswIndex(vectors, threads=threads)
    return lambda query: index.search(query, TOP)[0][0]


def faiss_flat(vectors: F32, threads: int) -> Search:
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(WIDTH)
    index.add(vectors)
    return lambda query: np.asarray(index.search(query, TOP)[1][0], np.int64)


def faiss_bytes(vectors: F32, threads: int) -> Search:
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexScalarQuantizer(WIDTH, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:100_000])
    index.add(vectors)
    return lambda query: np.asarray(index.search(query, TOP)[1][0], np.int64)


def usearch_graph(vectors: F32, threads: int) -> Search:
    from usearch.index import Index

    index = Index(ndim=WIDTH, metric="ip", dtype="f32", connectivity=32, expansion_add=100, expansion_search=200)
    index.add(np.arange(len(vectors)), vectors, threads=threads)
    return lambda query: np.asarray(index.search(query[0], TOP).keys, np.int64)


WAYS: dict[str, Callable[[F32, int], Search]] = {
    "faiss flat (anchor)": faiss_flat,
    "ExactIndex (ours)": ours,
    "HnswIndex (ours)": graph,
    "faiss 8-bit": faiss_bytes,
    "usearch graph": usearch_graph,
}


def measure(search: Search, queries: F32) -> tuple[float, list[I64]]:
    """Median seconds of one query, and what each found."""
    for query in queries[:5]:
        search(query[None])
    times, found = [], []
    for query in queries:
        start = time.perf_counter()
        got = search(query[None])
        times.append(time.perf_counter() - start)
        found.append(got)
    return float(np.median(times)), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="2000,100000,1000000", help="catalogue sizes, with commas")
    parser.add_argument("--threads", type=int, default=1, help="threads of faiss and usearch")
    arguments = parser.parse_args()
    blas = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or "as many as cores"
    print(f"top {TOP} of I x {WIDTH}, one query, median of {QUERIES}; threads {arguments.threads}, numpy's BLAS {blas}")
    print(f"{'I':>9}  {'way':<20} {'ms':>8} {'recall':>7} {'build s':>8} {'time / anchor':>13}")
    for size in map(int, arguments.sizes.split(",")):
        vectors, queries = draw(size, 1), draw(QUERIES, 2)
        truth: list[I64] = []
        anchor = 0.0
        for name, make in WAYS.items():
            start = time.perf_counter()
            try:
                search = make(vectors, arguments.threads)
            except ImportError:
                print(f"{size:>9,}  {name:<20} not installed")
                continue
            built = time.perf_counter() - start
            taken, found = measure(search, queries)
            if not truth:
                truth, anchor = found, taken
            recall = np.mean([len(np.intersect1d(a, b)) / len(a) for a, b in zip(truth, found, strict=True)])
            print(
                f"{size:>9,}  {name:<20} {taken * 1e3:>8.3f} {recall:>7.3f} {built:>8.2f} {taken / anchor:>13.2f}", flush=True
            )


if __name__ == "__main__":
    main()
