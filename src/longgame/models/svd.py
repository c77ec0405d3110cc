"""SVD: a rating is a mean, a user's and an item's bias, and the product of their factors.

Koren, Bell and Volinsky: "Matrix Factorization Techniques for Recommender Systems", IEEE Computer 42(8), 2009, eq. 4:

    r_ui = mu + b_u + b_i + q_i . p_u,

fitted by stochastic gradient descent (Funk, 2006; the steps are those below eq. 5). Beyond the paper: a price counts
one over the square root of the ratings that its owner has (as "frequency regularisation" in MyMediaLite, Gantner et al.,
RecSys 2011), so that all of a user's ratings together pay its root; the learning rates fall each pass; the number of
passes is found on ratings held out of those given; values are standardised first.

As a ranker a user is no parameter: his factors are solved for, as if he had liked all that he took as much as those
ratings say that are above the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.models.compiled import compiled
from longgame.models.histories import TIE_BREAK, known, one, popularity
from longgame.models.rating_fit import (
    RatedModel,
    Scale,
    Visit,
    Weights,
    checked,
    drawn,
    labelled,
    longer,
    pick,
    ranked_bias,
    rarity,
    rated,
    usual,
)
from longgame.models.space import OneOf, Real, Space
from longgame.models.stopping import Watch, unwatched
from longgame.rng import derive
from longgame.types import F32, F64, I64


@dataclass(frozen=True)
class SvdConfig:
    """How much is held in the factors, what holds them back, and how they are learned."""

    width: int = 64
    """Factors of a user and of an item."""
    bias_penalty: float = 0.1
    """Price of a squared bias, over the root of its owner's ratings."""
    penalty: float = 0.8
    """Price of squared factors, over the root of their owner's ratings."""
    bias_rate: float = 0.005
    """Learning rate of biases in the first pass."""
    rate: float = 0.03
    """Learning rate of factors in the first pass."""
    decay: float = 0.95
    """What is left of the learning rates after a pass."""
    passes: int = 60
    """The most passes over the ratings."""
    patience: int = 5
    """Passes without a smaller error on held-out ratings before it stops; 0: all passes, nothing held out."""
    update_passes: int = 5
    """Passes over the users of an update."""
    update_pace: float = 0.5
    """Share of the first learning rates in an update."""
    seed: int = 0

    SPACE: ClassVar[Space] = {
        "width": OneOf((16, 32, 64, 128)),
        "bias_penalty": Real(0.01, 1.0, log=True),
        "penalty": Real(0.2, 3.0, log=True),
        "bias_rate": Real(0.002, 0.02, log=True),
        "rate": Real(0.005, 0.05, log=True),
    }

    def __post_init__(self) -> None:
        checked(self, (self.bias_penalty, self.penalty))


class Svd(RatedModel):
    """Biases and factors; an empty history scores by the items' biases. Needs the extra ``factors`` to fit."""

    name = "svd"

    def __init__(self, config: SvdConfig | None = None, watch: Watch = unwatched) -> None:
        self.config = config or SvdConfig()
        super().__init__(partial(_Trainer, self.config), self.config, watch, implied=False)

    def score(self, histories: I64) -> F32:
        log, weights = self._fit.log, self._fit.trainer.weights
        items, bias = weights["items"], weights["item bias"]
        above = self._fit.scale.inward(log.value)
        liked = np.float32(above[above >= 0].mean()) if len(above) else np.float32(0)
        out = np.tile(ranked_bias(log, bias) + TIE_BREAK * popularity(log), (len(histories), 1))
        for row, history in enumerate(known(histories, len(items))):
            taken, _ = one(history)
            if len(taken):
                out[row] += items @ self._user(items[taken], liked - bias[taken])
        return out

    def _user(self, near: F32, left: F32) -> F32:
        """(n, D) factors of what was taken and (n,) what they are to explain -> (D,): where the steps come to rest."""
        price = max(self.config.penalty, 1e-3) * np.sqrt(len(near))
        normal = near.T.astype(np.float64) @ near + price * np.eye(near.shape[1])
        return np.linalg.solve(normal, near.T @ left.astype(np.float64)).astype(np.float32)


class _Trainer:
    """``weights``: "user bias" (U,), "item bias" (I,), "users" (U, D) and "items" (I, D)."""

    def __init__(self, config: SvdConfig, log: Interactions, scale: Scale, weights: Weights | None) -> None:
        self._config, self.log, self._value, self._rarity = config, log, scale.inward(log.value), rarity(log, labelled(log))
        counts = {"user bias": len(log.users), "item bias": len(log.items), "users": len(log.users), "items": len(log.items)}
        if weights is None:
            users, items = drawn(log, config.width, derive(config.seed, "svd"))
            biases = {name: np.zeros(counts[name], np.float32) for name in ("user bias", "item bias")}
            self.weights: Weights = {**biases, "users": users, "items": items}
        else:
            self.weights = {name: longer(weights[name], count) for name, count in counts.items()}

    def run(self, visit: Visit, pace: float) -> float:
        config, w = self._config, self.weights
        rows = visit.user, visit.bounds, self.log.item[visit.row], self._value[visit.row], visit.fresh
        prices = np.float32(config.bias_penalty), np.float32(config.penalty), self._rarity
        rates = np.float32(pace * config.bias_rate), np.float32(pace * config.rate)
        weights = w["user bias"], w["item bias"], w["users"], w["items"]
        return float(compiled(_descend)(rows, (visit.turn, visit.draw), weights, prices, rates))

    def predict(self, user: I64, item: I64, at: I64 | None) -> F64:
        w = self.weights
        vectors, bias, strange = pick(w["users"], user), pick(w["user bias"], user), ~rated(self.log, user)
        if strange.any():
            vectors[strange], bias[strange] = usual(self.log, w["users"]), usual(self.log, w["user bias"])
        out: F64 = np.einsum("nd,nd->n", vectors, pick(w["items"], item), dtype=np.float64)
        return out + bias + pick(w["item bias"], item)


def _descend(
    rows: Any, order: Any, weights: Any, prices: Any, rates: Any
) -> float:  # pragma: no cover - numba's, unseen by coverage
    """Steps down the gradient, rating by rating, user by user -> the sum of the squared errors."""
    person, bounds, item, value, fresh = rows
    turn, draw = order
    user_bias, item_bias, users, items = weights
    bias_price, price, rarity = prices
    bias_rate, rate = rates
    total = 0.0
    for number in turn:
        low, high = bounds[number], bounds[number + 1]
        who, scarce = person[number], np.float32(1.0) / np.sqrt(np.float32(high - low))
        p = users[who]
        for e in low + np.argsort(draw[low:high]):
            i = item[e]
            q = items[i]
            wrong = value[e] - user_bias[who] - item_bias[i]
            for d in range(len(p)):
                wrong -= p[d] * q[d]
            total += wrong * wrong
            user_bias[who] += bias_rate * (wrong - bias_price * scarce * user_bias[who])
            if fresh[e]:
                item_bias[i] += bias_rate * (wrong - bias_price * rarity[i] * item_bias[i])
            for d in range(len(p)):
                before = p[d]
                p[d] += rate * (wrong * q[d] - price * scarce * before)
                if fresh[e]:
                    q[d] += rate * (wrong * before - price * rarity[i] * q[d])
    return total
