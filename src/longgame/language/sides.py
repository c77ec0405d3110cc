"""On which side of many lines a vector lies: for each tag, the side of the items that have it. Learned from few of them.

Fisher's linear discriminant with the covariance of all items for every tag, so that one matrix is solved whatever the number of
tags, and with the vector of a tag's name counted as some of its items, so that a tag of few items has a side too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longgame.types import F64, Bool

PRIOR = 3.0
"""Items that a name counts as."""


@dataclass(frozen=True)
class Sides:
    """One line a tag."""

    mean: F64
    """(D,) of all items"""
    inverse: F64
    """(D, D) of their covariance, each direction's variance raised by the price"""
    total: F64
    """(T, D) a tag's items and its name, less the mean, added"""
    weight: F64
    """(T,) how many items that is"""
    share: F64
    """(T,) a tag's items, of all"""
    count: int
    """I"""

    @staticmethod
    def fit(vectors: F64, own: Sequence[F64], names: F64, price: float) -> Sides:
        """From (I, D) of all items, (n, D) of each tag's own and (T, D) of names; ``price`` in mean variances."""
        mean = vectors.mean(axis=0)
        cover = np.cov((vectors - mean).T) if len(vectors) > 1 else np.zeros((len(mean), len(mean)))
        middle = max(float(np.trace(cover)) / len(mean), 1e-9)
        total = PRIOR * (names - names.mean(axis=0)) + np.array([(rows - mean).sum(axis=0) for rows in own])
        size = np.array([len(rows) for rows in own], np.float64)
        inverse: F64 = np.linalg.inv(cover + price * middle * np.eye(len(mean))).astype(np.float64)
        return Sides(mean, inverse, total, PRIOR + size, size / len(vectors), len(vectors))

    def score(self, vectors: F64) -> F64:
        """(n, D) of items that nothing was learned from -> (n, T), higher is more on the tag's side."""
        out: F64 = (vectors - self.mean) @ self.inverse @ self.total.T / self.weight
        return out

    def without_themselves(self, vectors: F64, own: Bool) -> F64:
        """(n, D) of items that were among all, (n, T) whether they were a tag's own -> (n, T) as if they had not been.

        As the error of leaving each out in ridge regression (Hastie, Tibshirani and Friedman, 2009, eq. 7.64): one of the
        tag's own draws the line to itself, and any other pushes it away.
        """
        centred = vectors - self.mean
        lever = np.minimum(((centred @ self.inverse) * centred).sum(axis=1) / self.count, 0.9)[:, None]
        scale = self.count / self.weight
        out: F64 = (self.score(vectors) - lever * (own - self.share) * scale) / (1 - lever)
        return out
