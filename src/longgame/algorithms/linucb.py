"""LinUCB: show what may be worth most, counting what is not known yet in its favour. Deterministic.

Li, Chu, Langford & Schapire: "A Contextual-Bandit Approach to Personalized News Article Recommendation", WWW 2010, eq. 5:
with x the features of a user and an item, A = prior I + sum x x' and b = sum x r of what was shown,

    score = x' A^-1 b + alpha sqrt(x' A^-1 x)

Deviations: one regression over features of user and item together instead of one an item (their "hybrid" model, section 3.2,
without the part of its own that each item has), so that an item of tomorrow has a bound at once. Their choice is the
maximum; here the scores go to the one sampler, towards temperature 0 for theirs, and a probability is logged. A slate is the
K best scores: that a slot teaches of the others is not reckoned with before the batch is learned. Myopic by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longgame.algorithms.regression import Posterior, features, fit, size
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest
from longgame.errors import ConfigError
from longgame.types import F32, Bool


@dataclass(frozen=True)
class LinUcbConfig:
    """The prior and the optimism."""

    width: int
    """D, width of an item vector."""
    context: int = 0
    """F, context features of a request."""
    prior: float = 1.0
    """Of the ridge regression, above 0."""
    alpha: float = 1.0
    """Standard deviations, in units of a reward's noise, that an item may be better than it seems; 0 or more."""
    products: bool = True
    """Whether an item's numbers count by each context feature, too: P is then 1 + 2 D + F D, and a snapshot costs P^3."""

    def __post_init__(self) -> None:
        if min(self.prior, self.width) <= 0 or self.context < 0 or self.alpha < 0:
            raise ConfigError(f"LinUcbConfig: prior and width must be above 0, context and alpha not below, got {self}")


def upper_bounds(x: F32, mean: F32, root: F32, alpha: float) -> F32:
    """(..., P) features, (P,) mean, (P, P) inverse of A's Cholesky factor -> (...,) eq. 5: |root x| is sqrt(x' A^-1 x)."""
    out: F32 = x @ mean + np.float32(alpha) * np.linalg.norm(x @ root.T, axis=-1)
    return out


class LinUcbPolicy:
    """Upper bounds, in units of the reward: to be drawn by at a low temperature."""

    def __init__(self, config: LinUcbConfig, arrays: Arrays) -> None:
        self._config = config
        self._mean, self._root = (np.array(arrays[name], np.float32) for name in ("mean", "root"))
        self.version = f"linucb-{digest(self.state_dict(), alpha=config.alpha, products=config.products)}"

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        return upper_bounds(features(state, items, products=self._config.products), self._mean, self._root, self._config.alpha)

    def state_dict(self) -> Arrays:
        return {"mean": self._mean.copy(), "root": self._root.copy()}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "linucb", "config": asdict(self._config)}


class LinUcb:
    """The learner: a ridge regression, exact after any number of batches in any order."""

    counts = True
    """It counts every row that it is told: whoever teaches it hands out each once."""

    def __init__(self, config: LinUcbConfig) -> None:
        self.config = config
        self._posterior = Posterior(size(config.width, config.context, products=config.products), config.prior, 1.0)

    @property
    def policy(self) -> LinUcbPolicy:
        root = np.linalg.inv(np.linalg.cholesky(self._posterior.precision))
        return LinUcbPolicy(self.config, {"mean": self._posterior.mean, "root": root})

    def predict(self, state: State, items: F32) -> F32:
        """(B, C) what each item is expected to bring, without optimism."""
        out: F32 = features(state, items, products=self.config.products) @ self._posterior.mean.astype(np.float32)
        return out

    def update(self, batch: Batch) -> Mapping[str, float]:
        return fit(self._posterior, batch, products=self.config.products)

    def state_dict(self) -> Arrays:
        return self._posterior.state_dict()

    def load_state_dict(self, state: Arrays) -> None:
        self._posterior.load_state_dict(state)
