"""Factors of rows that were not trained: the exact solution of their part of a least-squares model, a row at a time.

A row with entries w_k at the factors h_k (n of them, D wide), where all other pairs weigh a, is

    x = (a sum_all h h' + p + sum_k w_k h_k h_k')^-1 sum_k w_k h_k

(Hu, Koren and Volinsky, ICDM 2008, eq. 4, in the weights of ``als``). With the eigenvectors of the sum over all, found once,
the first two terms are diagonal, so that a short row is solved for in n dimensions instead of D (Woodbury's identity).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from longgame.types import F32

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SHORT = 0.8
"""Entries, in widths, below which a row is solved for in its entries' dimensions: measured, where both take as long."""


@dataclass(frozen=True)
class Fold:
    """What rows are solved against."""

    rotated: F32
    """(m, D) the factors of the other side, along the eigenvectors of their sum of squares"""
    rotation: F32
    """(D, D) those eigenvectors, in columns"""
    everybody: F32
    """(D,) a times the eigenvalues, 0 or more"""

    @staticmethod
    def of(factors: F32, unobserved: float) -> Fold:
        """``factors`` (m, D), every pair with which weighs ``unobserved``, the a of the formula."""
        values, vectors = np.linalg.eigh(factors.T.astype(np.float64) @ factors)
        rotated = (factors @ vectors).astype(np.float32)
        return Fold(rotated, vectors.astype(np.float32), (unobserved * np.maximum(values, 0.0)).astype(np.float32))

    def solve(self, taken: csr_array, price: F32) -> F32:
        """(n, D) solutions for rows ``taken`` (n, m) with their weights, at ``price`` (n,) above 0; zeros for empty rows."""
        from scipy.linalg.blas import ssyrk
        from scipy.linalg.lapack import sposv  # numpy's solve, for matrices that need not be positive, takes twice the time

        width = len(self.everybody)
        out = np.zeros((taken.shape[0], width), np.float32)
        wanted, root = taken @ self.rotated, np.sqrt(taken.data)
        bounds = taken.indptr.tolist()
        for row, (first, last) in enumerate(pairwise(bounds)):
            if first == last:
                continue
            near = self.rotated[taken.indices[first:last]] * root[first:last, None]
            own = self.everybody + price[row]
            if last - first < _SHORT * width:
                inner = ssyrk(1.0, (near / np.sqrt(own)).T, trans=1, lower=1)
                inner.ravel("K")[:: last - first + 1] += 1.0  # its diagonal
                out[row] = (sposv(inner, root[first:last], lower=1, overwrite_a=1)[1] @ near) / own
            else:
                normal = ssyrk(1.0, near.T, lower=1)
                normal.ravel("K")[:: width + 1] += own
                out[row] = sposv(normal, wanted[row], lower=1, overwrite_a=1)[1]
        return np.asarray(out @ self.rotation.T, np.float32)
