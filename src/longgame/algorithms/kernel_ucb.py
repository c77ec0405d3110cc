"""LinUCB in its dual form, for features that are more numerous than decisions: words and pairs of words.

Valko, Korda, Munos, Flaounas & Cristianini: "Finite-Time Analysis of Kernelised Contextual Bandits", UAI 2013, section 3. With
X the features of what was shown, K = X X' and y the rewards,

    mean = k' (K + prior I)^-1 y,    width^2 = (x . x - k' (K + prior I)^-1 k) / prior,    k = X x

are the mean and the width of ``linucb``, but the matrix is as large as what was shown, and not as the features are many. The
features are those of ``regression``: the kernel is linear in them.

Deviations: those of ``linucb``; and what was shown is kept, the ``rows`` slots of it that were learned last: what was learned
before is forgotten. Those are the newest where batches come in order of time, as in a world; ``longgame train`` and the learner
beside the server draw rows by chance, so from a log of more slots they keep a random part. Once it is full each update makes
the root of a matrix of rows x rows anew, rows^3 / 3 multiplications.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from longgame.algorithms.regression import features, observed, size
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest, shaped
from longgame.errors import ConfigError
from longgame.types import F32, F64, Bool


@dataclass(frozen=True)
class KernelUcbConfig:
    """The prior, the optimism and the memory."""

    width: int
    """D, width of an item vector."""
    context: int = 0
    """F, context features of a request."""
    prior: float = 1.0
    """Of the ridge regression, above 0."""
    alpha: float = 1.0
    """Standard deviations, in units of a reward's noise, that an item may be better than it seems; 0 or more."""
    rows: int = 2_000
    """Slots that are kept, those learned last; each is as wide as the features."""

    def __post_init__(self) -> None:
        if min(self.prior, self.width, self.rows) <= 0 or self.context < 0 or self.alpha < 0:
            raise ConfigError(
                f"KernelUcbConfig: prior, width and rows must be above 0, context and alpha not below, got {self}"
            )


def bounds(x: F64, rows: F64, root: F64, coefficients: F64, prior: float) -> tuple[F64, F64]:
    """(..., P) features, (N, P) what was shown, (N, N) the root of K + prior I, (N,) (K + prior I)^-1 y -> mean and width."""
    flat = x.reshape(-1, x.shape[-1])
    k = rows @ flat.T
    explained = (solve_triangular(root, k, lower=True, check_finite=False) ** 2).sum(axis=0) if len(rows) else 0.0
    width = np.sqrt(np.maximum((flat**2).sum(axis=1) - explained, 0.0) / prior)
    return (coefficients @ k).reshape(x.shape[:-1]), width.reshape(x.shape[:-1])


class KernelUcbPolicy:
    """Upper bounds, in units of the reward: to be drawn by at a low temperature."""

    def __init__(self, config: KernelUcbConfig, arrays: Arrays) -> None:
        self._config = config
        self._arrays = {name: np.array(arrays[name], np.float64) for name in ("rows", "root", "coefficients")}
        self.version = f"kernel-ucb-{digest(self._arrays, alpha=config.alpha, prior=config.prior)}"

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        mean, width = bounds(features(state, items).astype(np.float64), **self._arrays, prior=self._config.prior)
        return (mean + self._config.alpha * width).astype(np.float32)

    def state_dict(self) -> Arrays:
        return {name: array.copy() for name, array in self._arrays.items()}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "kernel-ucb", "config": asdict(self._config)}


class KernelUcb:
    """The learner: what was shown, what it brought, and the root of K + prior I, which grows with it."""

    counts = True
    """It counts every row that it is told: whoever teaches it hands out each once."""

    def __init__(self, config: KernelUcbConfig) -> None:
        self.config = config
        n = config.rows
        self._rows: F64 = np.zeros((n, size(config.width, config.context)))
        self._rewards: F64 = np.zeros(n)
        self._root: F64 = np.eye(n)
        self._count = 0
        self._told: F64 | None = None
        """(P,) weights that say the mean, until more is learned"""

    @property
    def policy(self) -> KernelUcbPolicy:
        n = self._count
        return KernelUcbPolicy(
            self.config, {"rows": self._rows[:n], "root": self._root[:n, :n], "coefficients": self._coefficients()}
        )

    def predict(self, state: State, items: F32) -> F32:
        """(B, C) what each item is expected to bring, without optimism."""
        x = features(state, items)
        out: F32 = (x @ self._weights()).astype(np.float32)
        return out

    def update(self, batch: Batch) -> Mapping[str, float]:
        x, reward = observed(batch)
        error = reward - x @ self._weights()
        if len(x):
            self._keep(x[-self.config.rows :], reward[-self.config.rows :])
        return {
            "reward": float(reward.mean()) if len(reward) else 0.0,
            "error": float(np.mean(error**2)) if len(error) else 0.0,
        }

    def _keep(self, x: F64, reward: F64) -> None:
        """Put (m, P) behind what is kept; where there is no room those learned first go, and the root is made anew."""
        n, m, most = self._count, len(x), self.config.rows
        if n + m > most:
            left = most - m
            self._rows[:left], self._rewards[:left] = self._rows[n - left : n].copy(), self._rewards[n - left : n].copy()
            x, reward = np.concatenate([self._rows[:left], x]), np.concatenate([self._rewards[:left], reward])
            n, m = 0, most
        end = n + m
        own = x @ x.T + self.config.prior * np.eye(m)
        if n:
            beside = solve_triangular(self._root[:n, :n], self._rows[:n] @ x.T, lower=True, check_finite=False)
            self._root[n:end, :n] = beside.T
            own -= beside.T @ beside
        self._root[n:end, n:end] = np.linalg.cholesky(own)
        self._rows[n:end], self._rewards[n:end] = x, reward
        self._count, self._told = end, None

    def _weights(self) -> F64:
        """(P,)"""
        if self._told is None:
            self._told = self._coefficients() @ self._rows[: self._count]
        return self._told

    def _coefficients(self) -> F64:
        n = self._count
        root = self._root[:n, :n]
        out: F64 = np.zeros(0)
        if n:
            half = solve_triangular(root, self._rewards[:n], lower=True, check_finite=False)
            out = solve_triangular(root, half, lower=True, trans=1, check_finite=False)
        return out

    def state_dict(self) -> Arrays:
        kept = {"rows": self._rows.copy(), "rewards": self._rewards.copy(), "root": self._root.copy()}
        return {**kept, "count": np.array([self._count])}

    def load_state_dict(self, state: Arrays) -> None:
        rows, rewards = shaped(state, "rows", self._rows.shape), shaped(state, "rewards", self._rewards.shape)
        root, count = shaped(state, "root", self._root.shape), shaped(state, "count", (1,))
        self._rows, self._rewards, self._root, self._count, self._told = rows, rewards, root, int(count[0]), None
