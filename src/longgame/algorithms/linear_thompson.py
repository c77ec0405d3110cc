"""Linear Thompson sampling: Bayesian linear regression of a slot's reward, drawn from by probability matching.

Agrawal & Goyal: "Thompson Sampling for Contextual Bandits with Linear Payoffs", ICML 2013. One draw from the
posterior and its best item is their policy; its probability has no closed form, and a log without probabilities
proves nothing. So a snapshot holds M posterior draws and scores each item by the log of how many of them it wins:
at temperature 1 the sampler then picks an item as often as it is best, and the propensity is exact. (Deviation: M
draws stand for the posterior, smoothed by ``smoothing`` of a win for every item.) Myopic by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest
from longgame.errors import ArtefactError, ConfigError
from longgame.rng import derive
from longgame.types import F32, F64, Bool


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
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.prior, self.noise, self.smoothing, self.draws, self.width) <= 0 or self.context < 0:
            raise ConfigError(f"LinearThompsonConfig: prior, noise, smoothing, draws and width must be above 0, got {self}")

    @property
    def size(self) -> int:
        """P, number of weights."""
        return 1 + 2 * self.width + self.context * self.width


class LinearThompsonPolicy:
    """M weight vectors, drawn once; an item's score is the log of its share of wins."""

    def __init__(self, config: LinearThompsonConfig, draws: F32) -> None:
        self._config, self._draws = config, draws  # (M, P)
        self.version = f"linear-thompson-{digest({'draws': draws})}"

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        b, c = mask.shape
        wins = np.zeros((b, c), np.float64)
        for row, x in enumerate(_features(state, items)):  # row by row: M x C payoffs stay near the caches
            payoff = self._draws @ x.T  # (M, C)
            payoff[:, ~mask[row]] = -np.inf
            best = payoff == payoff.max(axis=1, keepdims=True)
            if np.count_nonzero(best) == len(best):
                wins[row] = best.sum(axis=0)
            else:  # items alike, such as two of one text, share what they win
                wins[row] = (best / best.sum(axis=1, keepdims=True)).sum(axis=0)
        share = (wins + self._config.smoothing) / (len(self._draws) + self._config.smoothing * c)
        out: F32 = np.log(share).astype(np.float32)
        return out

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
        out: F32 = _features(state, items) @ mean
        return out

    def update(self, batch: Batch) -> Mapping[str, float]:
        row, slot = np.nonzero(batch.action >= 0)
        shown = np.take_along_axis(batch.items, np.maximum(batch.action, 0)[:, :, None], axis=1)
        x = _features(batch.state, shown)[row, slot].astype(np.float64)
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


def _features(state: State, items: F32) -> F32:
    """(B, C, P): 1, the item, the item times the mean of the history, the item times each context feature."""
    present = state.present
    weight = present / np.maximum(present.sum(axis=1, keepdims=True), 1)
    taste = np.einsum("bt,btd->bd", weight.astype(np.float32), state.history)
    parts = [np.ones((*items.shape[:2], 1), np.float32), items, items * taste[:, None, :]]
    parts += [items * state.context[:, None, f, None] for f in range(state.context.shape[1])]
    return np.concatenate(parts, axis=2)
