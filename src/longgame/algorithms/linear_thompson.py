"""Linear Thompson sampling: Bayesian linear regression of a slot's reward, drawn from by probability matching.

Agrawal & Goyal: "Thompson Sampling for Contextual Bandits with Linear Payoffs", ICML 2013. One draw from the
posterior and its best item is their policy; its probability has no closed form, and a log without probabilities
proves nothing. So a snapshot holds M posterior draws and scores each item by the log of how many of them it wins:
at temperature 1 the sampler then picks an item as often as it is best, and the propensity is exact. (Deviation: M
draws stand for the posterior, smoothed by ``smoothing`` of a win for every item.) Myopic by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest
from longgame.errors import ArtefactError, ConfigError
from longgame.rng import derive
from longgame.types import F32, F64, Bool

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
    """Wins given to every item beforehand, above 0, so that no log-preference is infinite."""
    crossed: bool = False
    """Whether every number of an item meets every number of the history's mean, and not the same one alone: what was looked at
    may then speak for an item that is unlike it. D^2 weights in place of D, so for items of few numbers."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.prior, self.noise, self.smoothing, self.draws, self.width) <= 0 or self.context < 0:
            raise ConfigError(f"LinearThompsonConfig: prior, noise, smoothing, draws and width must be above 0, got {self}")

    @property
    def size(self) -> int:
        """P, number of weights."""
        return 1 + self.width * (1 + (self.width if self.crossed else 1) + self.context)


class LinearThompsonPolicy:
    """M weight vectors, drawn once; an item's score is the log of its share of wins."""

    def __init__(self, config: LinearThompsonConfig, draws: F32) -> None:
        self._config, self._draws = config, draws  # (M, P)
        self.version = f"linear-thompson-{digest({'draws': draws})}"

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        b, c = mask.shape
        wins = np.zeros((b, c), np.float64)
        asks, some = self._asks(state), max(1, _AT_ONCE // (len(self._draws) * c))
        for rows in (slice(first, first + some) for first in range(0, b, some)):  # payoffs stay near the caches
            payoff = asks(rows) @ items[rows].swapaxes(1, 2)  # (n, M, C)
            payoff = np.where(mask[rows, None], payoff, -np.inf)
            best = payoff == payoff.max(axis=2, keepdims=True)
            if np.count_nonzero(best) == best.shape[0] * best.shape[1]:
                wins[rows] = best.sum(axis=1)
            else:  # items alike, such as two of one text, share what they win
                wins[rows] = (best / best.sum(axis=2, keepdims=True)).sum(axis=1)
        share = (wins + self._config.smoothing) / (len(self._draws) + self._config.smoothing * c)
        out: F32 = np.log(share).astype(np.float32)
        return out

    def _asks(self, state: State) -> Callable[[slice], F32]:
        """Rows of B -> (n, M, D): an item's payoff is its vector times them, and the first weight, which all items share."""
        d, m = self._config.width, len(self._draws)
        taste, numbers = _user(state, self._config.crossed)
        own, rest = self._draws[:, 1 : 1 + d], self._draws[:, 1 + d :]
        alike = np.zeros((m, d), np.float32)
        if not self._config.crossed:
            alike, rest = rest[:, :d], rest[:, d:]
        met = rest.reshape(m, numbers.shape[1], d).swapaxes(0, 1).reshape(numbers.shape[1], m * d)

        def asks(rows: slice) -> F32:
            out: F32 = own + taste[rows, None] * alike + (numbers[rows] @ met).reshape(-1, m, d)
            return out

        return asks

    def state_dict(self) -> Arrays:
        return {"draws": self._draws}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "linear-thompson", "config": asdict(self._config)}


class LinearThompson:
    """The learner: a posterior over weights, exact after any number of batches in any order."""

    def __init__(self, config: LinearThompsonConfig) -> None:
        self.config = config
        self._precision: F64 = np.eye(config.size) * config.prior
        self._moment: F64 = np.zeros(config.size)

    @property
    def policy(self) -> LinearThompsonPolicy:
        config = self.config
        root = np.linalg.cholesky(self._precision)
        mean = np.linalg.solve(self._precision, self._moment)
        noise = derive(config.seed, "linear-thompson").standard_normal((config.size, config.draws))
        return LinearThompsonPolicy(config, (mean[:, None] + np.linalg.solve(root.T, noise)).T.astype(np.float32))

    def predict(self, state: State, items: F32) -> F32:
        """(B, C) the posterior mean of the reward of each item: the reward model of doubly robust estimates."""
        mean = np.linalg.solve(self._precision, self._moment).astype(np.float32)
        out: F32 = _features(state, items, self.config.crossed) @ mean
        return out

    def update(self, batch: Batch) -> Mapping[str, float]:
        row, slot = np.nonzero(batch.action >= 0)
        shown = np.take_along_axis(batch.items, np.maximum(batch.action, 0)[:, :, None], axis=1)
        x = _features(batch.state, shown, self.config.crossed)[row, slot].astype(np.float64)
        reward = batch.reward[row, slot].astype(np.float64)
        error = reward - x @ np.linalg.solve(self._precision, self._moment)
        self._precision += x.T @ x / self.config.noise**2
        self._moment += x.T @ reward / self.config.noise**2
        return {
            "reward": float(reward.mean()) if len(reward) else 0.0,
            "error": float(np.mean(error**2)) if len(error) else 0.0,
        }

    def state_dict(self) -> Arrays:
        return {"precision": self._precision.copy(), "moment": self._moment.copy()}

    def load_state_dict(self, state: Arrays) -> None:
        for name, held in (("precision", self._precision), ("moment", self._moment)):
            if name not in state or state[name].shape != held.shape:
                found = f"shape {state[name].shape}" if name in state else "nothing"
                raise ArtefactError(f"checkpoint: {name} must have shape {held.shape}, got {found}")
        self._precision, self._moment = np.array(state["precision"], np.float64), np.array(state["moment"], np.float64)


def _user(state: State, crossed: bool) -> tuple[F32, F32]:
    """(B, D) the mean of the history; (B, G) what meets each number of an item: the context, crossed behind that mean."""
    present = state.present
    weight = present / np.maximum(present.sum(axis=1, keepdims=True), 1)
    taste: F32 = np.einsum("bt,btd->bd", weight.astype(np.float32), state.history)
    return taste, np.concatenate([taste, state.context], axis=1) if crossed else state.context


def _features(state: State, items: F32, crossed: bool) -> F32:
    """(B, C, P): 1, the item, the item times the mean of the history, the item times each context feature.

    Crossed, the item times each number of that mean.
    """
    taste, numbers = _user(state, crossed)
    parts = [np.ones((*items.shape[:2], 1), np.float32), items]
    parts += [] if crossed else [items * taste[:, None, :]]
    parts += [items * numbers[:, None, g, None] for g in range(numbers.shape[1])]
    return np.concatenate(parts, axis=2)
