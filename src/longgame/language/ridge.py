"""Vectors -> numbers or classes, learned from few examples: ridge regression whose price is chosen by leaving each one out.

With n examples of width d the solution is found in n or d dimensions, whichever are fewer, for all prices from one
decomposition, and so is the error of leaving each example out (Golub, Heath and Wahba, Technometrics 1979, on which the choice
of the price rests; the formula is that of Hastie, Tibshirani and Friedman, 2009, eq. 7.64): exactly, but for the scale of the
vectors, which knows all examples, and for the price, which was the best of ``PRICES`` for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from longgame.errors import ArtefactError, DataError, ShapeError
from longgame.types import F32, F64

PRICES = tuple(float(price) for price in np.logspace(-3, 2, 21))
"""Prices that are tried, in mean squared lengths of an example."""


@dataclass(frozen=True)
class Ridge:
    """What was learned."""

    mean: F64
    """(d,) of the examples"""
    scale: F64
    """(d,) one over their deviation, 0 for a number that never differs"""
    weight: F64
    """(d, m)"""
    level: F64
    """(m,) of what is told, on average"""
    deviation: F64
    """(m,) root of the mean squared error of each example when it was left out: what a new one is off by"""
    price: float
    """That was chosen."""

    @staticmethod
    def fit(vectors: F32, wanted: F64, prices: tuple[float, ...] = PRICES) -> Ridge:
        """From (n, d) vectors and (n, m) numbers. Raises ShapeError where they do not fit, DataError for fewer than two."""
        wanted = np.asarray(wanted, np.float64)
        if vectors.ndim != 2 or wanted.ndim != 2 or len(vectors) != len(wanted):
            raise ShapeError(f"Ridge.fit: needs (n, d) and (n, m), got {vectors.shape} and {wanted.shape}")
        if len(vectors) < 2:
            raise DataError(f"Ridge.fit: needs two examples or more, got {len(vectors)}")
        mean, deviation = vectors.mean(axis=0, dtype=np.float64), vectors.std(axis=0, dtype=np.float64)
        scale = np.where(deviation > 1e-9, 1 / np.maximum(deviation, 1e-9), 0.0)
        centred = (vectors - mean) * scale
        level = wanted.mean(axis=0)
        left, size, right = _decomposed(centred)
        projected = left.T @ (wanted - level)
        unit = max(float((size**2).sum()) / len(vectors), 1e-12)
        best: tuple[float, float, F64] | None = None
        for price in prices:
            shrunk = size**2 / (size**2 + price * unit)
            # What each example weighs in its own prediction, the mean that was taken out included.
            own = np.minimum((left**2) @ shrunk + 1 / len(vectors), 1 - 1e-9)
            out = (wanted - level - left @ (shrunk[:, None] * projected)) / (1 - own)[:, None]
            error = (out**2).mean(axis=0)
            if best is None or error.sum() < best[0] - 1e-15:
                best = (float(error.sum()), price, error)
        assert best is not None
        _, price, error = best
        weight = right.T @ ((size / (size**2 + price * unit))[:, None] * projected)
        return Ridge(mean, scale, weight, level, np.sqrt(error), price)

    def predict(self, vectors: F32) -> F64:
        """(n, d) -> (n, m). Raises ShapeError for vectors of another width."""
        if vectors.ndim != 2 or vectors.shape[1] != len(self.mean):
            raise ShapeError(f"Ridge.predict: vectors must be (n, {len(self.mean)}), got {vectors.shape}")
        out: F64 = ((vectors - self.mean) * self.scale) @ self.weight + self.level
        return out

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        names = ("mean", "scale", "weight", "level", "deviation")
        return {**{name: np.array(getattr(self, name)) for name in names}, "price": np.array(self.price)}

    @staticmethod
    def load(state: Mapping[str, np.ndarray[Any, Any]]) -> Ridge:
        """The inverse of :meth:`state_dict`. Raises ArtefactError."""
        names = ("mean", "scale", "weight", "level", "deviation", "price")
        if missing := [name for name in names if name not in state]:
            raise ArtefactError(f"checkpoint: {', '.join(missing)} must be there, got {', '.join(sorted(state))}")
        mean, scale, weight, level, deviation = (np.array(state[name], np.float64) for name in names[:-1])
        return Ridge(mean, scale, weight, level, deviation, np.asarray(state["price"]).item())


def _decomposed(centred: F64) -> tuple[F64, F64, F64]:
    """(n, d) -> (n, r), (r,), (r, d): its singular vectors and values, by the square of its shorter side, which is faster.

    Directions in which it is narrower than a millionth of the widest are left out: squared, they are not told from noise.
    """
    n, d = centred.shape
    squares, turn = np.linalg.eigh(centred.T @ centred if d <= n else centred @ centred.T)
    kept = squares > 1e-12 * max(float(squares[-1]), 1e-300)
    size, turn = np.sqrt(squares[kept])[::-1], turn[:, kept][:, ::-1]
    if d <= n:
        return (centred @ turn) / size, size, turn.T
    return turn, size, (turn.T @ centred) / size[:, None]
