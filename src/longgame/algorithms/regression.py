"""Bayesian linear regression of what items bring, exact after any number of batches: what linear bandits share."""

from __future__ import annotations

import numpy as np

from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, shaped
from longgame.types import F32, F64


class Posterior:
    """Weights w ~ N(mean, 1 / prior), rewards ~ N(w . x, noise^2): the normal that is left after what was seen.

    Kept as its precision A and its moment b; its mean is the ridge regression A^-1 b.
    """

    def __init__(self, size: int, prior: float, noise: float, mean: F64 | None = None) -> None:
        self._prior: F64 = np.eye(size) * prior
        self._before: F64 = np.zeros(size) if mean is None else prior * mean
        self._noise = noise
        self.precision: F64 = self._prior.copy()
        self.moment: F64 = self._before.copy()

    @property
    def mean(self) -> F64:
        """(P,)"""
        out: F64 = np.linalg.solve(self.precision, self.moment).astype(np.float64, copy=False)
        return out

    def draws(self, m: int, rng: np.random.Generator) -> F32:
        """(M, P) weights drawn from it."""
        root = np.linalg.cholesky(self.precision)
        noise = rng.standard_normal((len(root), m))
        out: F32 = (self.mean[:, None] + np.linalg.solve(root.T, noise)).T.astype(np.float32)
        return out

    def learn(self, x: F64, reward: F64, keep: float = 1.0) -> None:
        """(n, P), (n,). ``keep``: the share of what was seen before that still counts, in [0, 1]."""
        self.precision = keep * (self.precision - self._prior) + self._prior + x.T @ x / self._noise**2
        self.moment = keep * (self.moment - self._before) + self._before + x.T @ reward / self._noise**2

    def state_dict(self) -> Arrays:
        return {"precision": self.precision.copy(), "moment": self.moment.copy()}

    def load_state_dict(self, state: Arrays) -> None:
        """Raises ArtefactError for arrays that are missing or of another shape."""
        precision, moment = shaped(state, "precision", self.precision.shape), shaped(state, "moment", self.moment.shape)
        self.precision, self.moment = precision.astype(np.float64), moment.astype(np.float64)


def size(width: int, context: int, crossed: bool = False, products: bool = True) -> int:
    """P of :func:`features`."""
    return 1 + width * (1 + (width if crossed else 1) + context * products)


def asked(state: State, crossed: bool = False, products: bool = True) -> tuple[F32, F32]:
    """(B, D) the mean of the history; (B, G) what meets each number of an item: the context, *crossed* behind that mean.

    Without ``products`` the context is left out.
    """
    present = state.present
    weight = present / np.maximum(present.sum(axis=1, keepdims=True), 1)
    taste: F32 = np.einsum("bt,btd->bd", weight.astype(np.float32), state.history)
    numbers = state.context if products else state.context[:, :0]
    return taste, np.concatenate([taste, numbers], axis=1) if crossed else numbers


def features(state: State, items: F32, crossed: bool = False, products: bool = True) -> F32:
    """(B, C, P): 1, the item, the item times the mean of the history, the item times each context feature.

    *Crossed*, the item times each number of that mean. Without ``products`` the context is left out.
    """
    taste, numbers = asked(state, crossed, products)
    met = (numbers[:, None, :, None] * items[:, :, None, :]).reshape(*items.shape[:2], numbers.shape[1] * items.shape[2])
    alike = [] if crossed else [items * taste[:, None, :]]
    return np.concatenate([np.ones((*items.shape[:2], 1), np.float32), items, *alike, met], axis=2)


def observed(batch: Batch, crossed: bool = False, products: bool = True) -> tuple[F64, F64]:
    """What was shown and what it brought: (n, P) features and (n,) rewards of the slots that were filled."""
    row, slot = np.nonzero(batch.action >= 0)
    shown = np.take_along_axis(batch.items, np.maximum(batch.action, 0)[:, :, None], axis=1)
    x = features(batch.state, shown, crossed, products)[row, slot].astype(np.float64)
    return x, batch.reward[row, slot].astype(np.float64)


def fit(posterior: Posterior, batch: Batch, crossed: bool = False, products: bool = True) -> dict[str, float]:
    """One batch into the posterior; how large rewards are, and how far they were from what was expected of them."""
    x, reward = observed(batch, crossed, products)
    error = reward - x @ posterior.mean
    posterior.learn(x, reward)
    return {
        "reward": float(reward.mean()) if len(reward) else 0.0,
        "error": float(np.mean(error**2)) if len(error) else 0.0,
    }
