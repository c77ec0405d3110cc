"""Vectors -> groups: k-means that goes on as more is seen."""

from __future__ import annotations

import numpy as np

from longgame.artefacts import Arrays, shaped
from longgame.types import F32, F64, I64

_ROUNDS = 10
"""Of Lloyd's algorithm (1982) on the vectors that fill the centres."""


class Clusters:
    """Up to G centres, each the mean of all that was nearest to it when it came (MacQueen 1967; Sculley, WWW 2010).

    Centres are first put on the vectors that are furthest from all others (Gonzalez 1985) and settled there: nothing is drawn,
    and the order of the vectors says nothing. Later batches fill those that are left over, and then only move them, ever less.
    """

    def __init__(self, groups: int, width: int) -> None:
        self.centres: F64 = np.zeros((groups, width))
        self.counts: F64 = np.zeros(groups)
        """(G,) vectors that each has seen; 0: it stands nowhere yet"""

    def learn(self, x: F64) -> None:
        """(n, V)"""
        if not len(x):
            return
        if not self.counts.all():
            self._fill(x)
        sums, count = self._sums(x)
        self.counts += count
        moved = count > 0
        self.centres[moved] += (sums[moved] - count[moved, None] * self.centres[moved]) / self.counts[moved, None]

    def _fill(self, x: F64) -> None:
        free = np.flatnonzero(self.counts == 0)
        fixed = self.counts > 0
        stands = fixed.copy()
        for g in free:
            away = distances(x, self.centres[stands] if stands.any() else x.mean(axis=0, keepdims=True)).min(axis=1)
            furthest = int(away.argmax())
            if stands.any() and away[furthest] <= 1e-9 * (1.0 + float((x**2).sum(axis=1).max())):
                break  # nothing here that a centre does not stand on
            self.centres[g], stands[g] = x[furthest], True
        self.counts[stands & ~fixed] = 1e-9  # they stand, and have seen nothing
        for _ in range(_ROUNDS):
            sums, count = self._sums(x)
            settle = (count > 0) & ~fixed
            self.centres[settle] = sums[settle] / count[settle, None]

    def _sums(self, x: F64) -> tuple[F64, F64]:
        """(G, V) sums of what is in each group, (G,) counts."""
        group = self.nearest(x)
        sums = np.zeros_like(self.centres)
        np.add.at(sums, group, x)
        return sums, np.bincount(group, minlength=len(self.counts)).astype(np.float64)

    def nearest(self, x: F32 | F64) -> I64:
        """(..., V) -> (...,) the group of each; 0 where no centre stands."""
        flat = x.reshape(-1, x.shape[-1]).astype(np.float64)
        away = np.where(self.counts > 0, distances(flat, self.centres), np.inf)
        out: I64 = away.argmin(axis=1).reshape(x.shape[:-1])
        return out

    def state_dict(self, prefix: str) -> Arrays:
        return {f"{prefix}centres": self.centres.copy(), f"{prefix}counts": self.counts.copy()}

    def load_state_dict(self, state: Arrays, prefix: str) -> None:
        """Raises ArtefactError for arrays that are missing or of another shape."""
        centres = shaped(state, f"{prefix}centres", self.centres.shape)
        self.centres, self.counts = centres, shaped(state, f"{prefix}counts", self.counts.shape)


def distances(x: F64, centres: F64) -> F64:
    """(n, V), (G, V) -> (n, G) squared distances."""
    out: F64 = (x**2).sum(axis=1)[:, None] - 2 * x @ centres.T + (centres**2).sum(axis=1)
    return np.maximum(out, 0.0)
