"""What a new user is guessed from: factors of items and the distribution of the users' weights, with their uncertainty.

Not a recommender: it is what questions to a new user are chosen by (``models/asking.py``), for which it does not do to know
the best factors; one must know how sure they are. A rating is

    r_ui = o_i + b_u + q_i . p_u + noise,    (o_i, q_i) ~ Normal over items,    (b_u, p_u) ~ Normal over users,

fitted as Lim and Teh do ("Variational Bayesian Approach to Movie Rating Prediction", KDD Cup 2007, section 4), with the
biases among the factors and both normal distributions free. A user who comes later is a linear regression on features
that are known: his weights are normal again after every answer (Bishop, "Pattern Recognition and Machine Learning", 2006,
eq. 3.50 and 3.51), and how sure they are does not depend on what the answers say, only on which they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError, DataError
from longgame.models.rating_fit import drawn, newest
from longgame.rng import derive
from longgame.shapes import check
from longgame.types import F32, F64, I64

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_LEVELS = 5
"""Answers that entropy tells apart: equal parts of the range of values."""


@dataclass(frozen=True)
class Belief:
    """What is known of one user's weights: a normal distribution. The first weight is the user's bias."""

    mean: F64
    """(D,)"""
    covariance: F64
    """(D, D), positive definite"""

    def told(self, x: F64, left: F64, noise: F64) -> Belief:
        """After n answers: (n, D) features of the items, (n,) ratings less the items' offsets, (n,) deviations of the noise.

        >>> after = Belief(np.zeros(1), np.eye(1)).told(np.ones((1, 1)), np.array([4.0]), np.ones(1))
        >>> print(after.mean, after.covariance)
        [2.] [[0.5]]
        """
        before, weighed = np.linalg.inv(self.covariance), x / noise[:, None] ** 2
        covariance = np.linalg.inv(before + weighed.T @ x)
        return Belief(covariance @ (before @ self.mean + weighed.T @ left), (covariance + covariance.T) / 2)


@dataclass(frozen=True)
class Population:
    """The users there are, as far as a new one is guessed from them; I items with D features."""

    offset: F64
    """(I,) what all ratings of an item have in common"""
    x: F64
    """(I, D), the first feature 1: the user's bias"""
    noise: F64
    """(I,) deviation of a rating from what the user's weights say, above 0; more where the item is little known"""
    prior: Belief
    """Of a user who has told nothing."""
    chance: F64
    """(I,) share of users that know the item, in (0, 1)"""
    entropy: F64
    """(I,) of its ratings over five levels, in nats; 0 for an item without any"""
    low: float
    high: float
    """Ratings lie between these."""

    @staticmethod
    def of(log: Interactions, width: int = 8, rounds: int = 30, seed: int = 0) -> Population:
        """Learned from a log of ratings, with ``width`` factors besides the biases. Of several ratings of a pair
        the last counts.

        Raises ConfigError for a width or rounds below 1, DataError for a log without ratings.
        """
        if min(width, rounds) < 1:
            raise ConfigError(f"Population.of: width and rounds must be 1 or more, got {width} and {rounds}")
        if not len(log):
            raise DataError("Population.of: the log must have a rating, got none; import some first")
        log = newest(log)
        users, items, noise = _learned(log, width, rounds, seed)
        g = np.concatenate([[1.0], users.prior.mean[1:]])
        second = np.outer(g, g)
        second[1:, 1:] += users.prior.covariance[1:, 1:]
        doubt = (items.covariance * second).sum(axis=(1, 2))  # what a new user's rating varies by as the item is not known
        raters = int((np.diff(log.offsets) > 0).sum())
        chance = (np.bincount(log.item, minlength=len(log.items)) + 0.5) / (raters + 1)  # Jeffreys' prior: never 0 or 1
        low, high = float(log.value.min()), float(log.value.max())
        deviation = np.sqrt(noise**2 + doubt)
        return Population(
            items.mean[:, 0], items.features(), deviation, users.prior, chance, _entropy(log, low, high), low, high
        )

    def belief(self, items: I64, values: F32) -> Belief:
        """Of a user who gave (n,) items these (n,) ratings."""
        check({}, ("items", items, "N"), ("values", values, "N"))
        return self.prior.told(self.x[items], values - self.offset[items], self.noise[items])

    def rate(self, belief: Belief) -> F64:
        """(I,) expected ratings, clipped to the range of those there were."""
        return np.clip(self.offset + self.x @ belief.mean, self.low, self.high)


@dataclass(frozen=True)
class _Side:
    """All users, or all items: n vectors whose first entry is a bias and the rest are factors, each a normal distribution."""

    mean: F64
    """(n, D)"""
    covariance: F64
    """(n, D, D)"""
    prior: Belief

    def features(self) -> F64:
        """(n, D) what the other side's vectors are multiplied by: 1 for its bias, then the factors."""
        out = self.mean.copy()
        out[:, 0] = 1.0
        return out

    def second(self) -> F64:
        """(n, D, D) the expected products of the features with each other."""
        x, out = self.features(), self.covariance.copy()
        out[:, 0], out[:, :, 0] = 0.0, 0.0
        return out + x[:, :, None] * x[:, None, :]

    def told(self, ratings: csr_array, other: _Side, noise: float) -> _Side:
        """This side anew, given the (n, m) ratings and the other side's m vectors; its prior made to fit them."""
        from scipy.sparse import csr_array

        taken = csr_array((np.ones(ratings.nnz), ratings.indices, ratings.indptr), shape=ratings.shape)
        x, width = other.features(), self.mean.shape[1]
        both = x * other.mean[:, :1]  # the features times the other's bias, in expectation
        both[:, 1:] += other.covariance[:, 0, 1:]
        before = np.linalg.inv(self.prior.covariance)
        precision = before + _products(taken, other) / noise**2
        covariance: F64 = np.asarray(np.linalg.inv(precision), np.float64)
        right = before @ self.prior.mean + (ratings @ x - taken @ both) / noise**2
        mean = (covariance @ right[:, :, None])[:, :, 0]
        rated = np.diff(ratings.indptr) > 0  # who has no rating says nothing of the others
        middle = mean[rated].mean(axis=0)
        apart = mean[rated] - middle
        spread: F64 = (covariance[rated].sum(axis=0) + apart.T @ apart) / rated.sum()
        return _Side(mean, covariance, Belief(middle, (spread + spread.T) / 2 + 1e-9 * np.eye(width)))


def _products(taken: csr_array, other: _Side) -> F64:
    """(n, m) 1 where there is a rating -> (n, D, D) the sum of the other side's expected products over them."""
    second = other.second()
    return np.asarray(taken @ second.reshape(len(second), -1)).reshape(-1, *second.shape[1:])


def _learned(log: Interactions, width: int, rounds: int, seed: int) -> tuple[_Side, _Side, float]:
    """Users, items and the deviation of the noise."""
    from scipy.sparse import csr_array

    value = log.value.astype(np.float64)
    ratings = csr_array((value, log.item, log.offsets), shape=(len(log.users), len(log.items)))
    across = csr_array(ratings.T)
    spread = float(value.std()) or 1.0
    wide = np.diag([spread**2, *([spread] * width)]) / 4
    starts = drawn(log, width, derive(seed, "population"))
    users, items = (
        _Side(
            mean=np.column_stack([np.full(len(start), middle), 3 * start]),  # far enough apart to leave nothing soon
            covariance=np.zeros((len(start), width + 1, width + 1)),
            prior=Belief(np.append(middle, np.zeros(width)), wide),
        )
        for start, middle in zip(starts, (0.0, value.mean()), strict=True)
    )
    noise = spread
    for _ in range(rounds):
        users = users.told(ratings, items, noise)
        items = items.told(across, users, noise)
        noise = max(_noise(log, users, items), 1e-3 * spread)
    return users, items, noise


def _noise(log: Interactions, users: _Side, items: _Side) -> float:
    """The expected deviation of the ratings from what both sides say."""
    u, x, g = log.user, items.features(), users.features()
    wrong = log.value - items.mean[log.item, 0] - np.einsum("nd,nd->n", x[log.item], users.mean[u])
    doubt = 0.0
    second = items.second()
    for user in np.flatnonzero(np.diff(log.offsets)).tolist():
        own = log.history(user)
        doubt += float((users.covariance[user] * second[own].sum(axis=0)).sum())
        doubt += float((items.covariance[own].sum(axis=0) * np.outer(g[user], g[user])).sum())
    return float(np.sqrt(((wrong**2).sum() + doubt) / len(log)))


def _entropy(log: Interactions, low: float, high: float) -> F64:
    """(I,) in nats."""
    level = np.minimum(((log.value - low) / ((high - low) or 1.0) * _LEVELS).astype(np.int64), _LEVELS - 1)
    count = np.zeros((len(log.items), _LEVELS))
    np.add.at(count, (log.item, level), 1.0)
    share = count / np.maximum(count.sum(axis=1, keepdims=True), 1)
    out: F64 = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)
    return out
