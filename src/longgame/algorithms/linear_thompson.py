"""Linear Thompson sampling: Bayesian linear regression of a slot's reward, drawn from by probability matching.

Agrawal & Goyal: "Thompson Sampling for Contextual Bandits with Linear Payoffs", ICML 2013. One draw from the
posterior and its best item is their policy; a snapshot holds M draws, so that its probability is known (``matching``).
Myopic by construction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longgame.algorithms.matching import log_shares
from longgame.algorithms.regression import Posterior, asked, features, fit, size
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest
from longgame.errors import ConfigError
from longgame.rng import derive
from longgame.types import F32, Bool

_AT_ONCE = 1 << 19
"""Payoffs that are reckoned at once."""


@dataclass(frozen=True)
class LinearThompsonConfig:
    """The prior, the noise and the draws."""

    width: int
    """D, width of an item vector."""
    context: int = 0
    """F, context features of a request."""
    prior: float = 1.0
    """Precision of each weight before any data, above 0."""
    noise: float = 0.5
    """Standard deviation of a slot's reward round its mean, above 0."""
    draws: int = 256
    """M posterior draws a snapshot holds."""
    smoothing: float = 0.1
    """What a place in a draw's order counts for each 1 of the place before, in (0, 1): of a slot's draws, about the share that
    the next best has (``matching``)."""
    crossed: bool = False
    """Whether every number of an item meets every number of the history's mean, and not the same one alone: what was looked at
    may then speak for an item that is unlike it. D^2 weights in place of D, so for items of few numbers."""
    products: bool = True
    """Whether an item's numbers count by each context feature, too; a snapshot costs the third power of the weights' number."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.prior, self.noise, self.draws, self.width) <= 0 or self.context < 0 or not 0 < self.smoothing < 1:
            raise ConfigError(
                "LinearThompsonConfig: prior, noise, draws and width must be above 0, context not below and smoothing lie in "
                f"(0, 1), got {self}"
            )

    @property
    def size(self) -> int:
        """P, number of weights."""
        return size(self.width, self.context, self.crossed, self.products)


class LinearThompsonPolicy:
    """M weight vectors, drawn once; an item's score is the log of its share of wins."""

    def __init__(self, config: LinearThompsonConfig, draws: F32) -> None:
        self._config, self._draws = config, draws  # (M, P)
        self.version = f"linear-thompson-{digest({'draws': draws}, smoothing=config.smoothing, crossed=config.crossed)}"

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        return log_shares(self._payoffs(state, items), mask, self._config.smoothing)

    def _payoffs(self, state: State, items: F32) -> Iterator[F32]:
        """B times (M, C): an item's vector times what is asked of it, less the first weight, which all items share.

        What is asked is (M, D) for all candidates, so that nothing of C x P is built.
        """
        d, m = self._config.width, len(self._draws)
        taste, numbers = asked(state, self._config.crossed, self._config.products)
        own, rest = self._draws[:, 1 : 1 + d], self._draws[:, 1 + d :]
        alike = np.zeros((m, d), np.float32)
        if not self._config.crossed:
            alike, rest = rest[:, :d], rest[:, d:]
        met = rest.reshape(m, numbers.shape[1], d).swapaxes(0, 1).reshape(numbers.shape[1], m * d)
        some = max(1, _AT_ONCE // (m * items.shape[1]))
        for rows in (slice(first, first + some) for first in range(0, len(items), some)):  # payoffs stay near the caches
            asks = own + taste[rows, None] * alike + (numbers[rows] @ met).reshape(-1, m, d)
            yield from asks @ items[rows].swapaxes(1, 2)

    def state_dict(self) -> Arrays:
        return {"draws": self._draws}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "linear-thompson", "config": asdict(self._config)}


class LinearThompson:
    """The learner: a posterior over weights, exact after any number of batches in any order."""

    counts = True
    """It counts every row that it is told: whoever teaches it hands out each once."""

    def __init__(self, config: LinearThompsonConfig) -> None:
        self.config = config
        self._posterior = Posterior(config.size, config.prior, config.noise)

    @property
    def policy(self) -> LinearThompsonPolicy:
        config = self.config
        return LinearThompsonPolicy(config, self._posterior.draws(config.draws, derive(config.seed, "linear-thompson")))

    def predict(self, state: State, items: F32) -> F32:
        """(B, C) the posterior mean of the reward of each item: the reward model of doubly robust estimates."""
        out: F32 = features(state, items, self.config.crossed, self.config.products) @ self._posterior.mean.astype(np.float32)
        return out

    def update(self, batch: Batch) -> Mapping[str, float]:
        return fit(self._posterior, batch, self.config.crossed, self.config.products)

    def state_dict(self) -> Arrays:
        return self._posterior.state_dict()

    def load_state_dict(self, state: Arrays) -> None:
        self._posterior.load_state_dict(state)
