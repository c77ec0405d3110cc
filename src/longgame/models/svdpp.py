"""SVD++: what a user rated says something of him even before one looks at how.

Koren: "Factorization Meets the Neighborhood: a Multifaceted Collaborative Filtering Model", KDD 2008, eq. 15:

    r_ui = mu + b_u + b_i + q_i . (p_u + |N(u)|^-1/2 sum over j in N(u) of y_j),

with N(u) the items that u has in the log that is learned from, rated or *unlabelled* (taken, and no rating of it is known),
and nothing else: the paper's N(u) also has the pairs that it is judged on. Beyond the paper: a price counts one over the
square root of the ratings that its owner has ("frequency regularisation" in MyMediaLite, Gantner et al., RecSys 2011); users
come one after the other, so that the sum over N(u) is made once a user, and the y are moved once he is through, by what all
of his ratings said (the paper does both at each rating, at a cost of ratings times items a user); the learning rates fall
each pass; the number of passes is found on ratings held out of those given; values are standardised first.

As a ranker it takes the user's bias and p_u for nothing: that is what the model says of somebody of whom is known what
he took, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.models.compiled import compiled
from longgame.models.implied import add_implied, ranked
from longgame.models.rating_fit import RatedModel, Scale, Visit, Weights, checked, drawn, labelled, longer, pick, rarity
from longgame.models.space import OneOf, Real, Space
from longgame.models.stopping import Watch, unwatched
from longgame.rng import derive
from longgame.types import F32, F64, I64


@dataclass(frozen=True)
class SvdPlusPlusConfig:
    """How much is held in the factors, what holds them back, and how they are learned."""

    width: int = 64
    """Factors of a user and of an item."""
    bias_penalty: float = 0.1
    """Price of a squared bias, over the root of its owner's ratings."""
    penalty: float = 0.6
    """Price of squared p and q, over the root of their owner's ratings."""
    implied_penalty: float = 2.5
    """Price of squared y, over the root of the item's ratings."""
    bias_rate: float = 0.005
    """Learning rate of biases in the first pass."""
    rate: float = 0.025
    """Learning rate of factors in the first pass."""
    decay: float = 0.9
    """What is left of the learning rates after a pass."""
    passes: int = 40
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
        "implied_penalty": Real(0.3, 6.0, log=True),
        "bias_rate": Real(0.002, 0.02, log=True),
        "rate": Real(0.005, 0.05, log=True),
    }

    def __post_init__(self) -> None:
        checked(self, (self.bias_penalty, self.penalty, self.implied_penalty))


class SvdPlusPlus(RatedModel):
    """Biases, factors, and factors of having rated. An empty history scores by the items' biases.

    Needs the extra ``factors`` to fit.
    """

    name = "svd-plus-plus"

    def __init__(self, config: SvdPlusPlusConfig | None = None, watch: Watch = unwatched) -> None:
        self.config = config or SvdPlusPlusConfig()
        super().__init__(partial(_Trainer, self.config), self.config, watch)

    def score(self, histories: I64) -> F32:
        weights = self._fit.trainer.weights
        return ranked(self._fit.log, weights, weights["item bias"], histories)


class _Trainer:
    """``weights``: "user bias" (U,), "item bias" (I,), "users" p (U, D), "items" q (I, D) and "implied" y (I, D)."""

    def __init__(self, config: SvdPlusPlusConfig, log: Interactions, scale: Scale, weights: Weights | None) -> None:
        self._config, self.log, self._told, everyone = config, log, labelled(log), np.ones(len(log), np.bool_)
        self._value = scale.inward(np.where(self._told, log.value, 0))
        self._rarity, self._implied_rarity = rarity(log, self._told), rarity(log, everyone)
        people, things = len(log.users), len(log.items)
        counts = {"user bias": people, "item bias": things, "users": people, "items": things, "implied": things}
        if weights is None:
            users, items = drawn(log, config.width, derive(config.seed, "svd++"))
            _, implied = drawn(log, config.width, derive(config.seed, "svd++", "implied"))
            biases = {name: np.zeros(counts[name], np.float32) for name in ("user bias", "item bias")}
            self.weights: Weights = {**biases, "users": users, "items": items, "implied": implied}
        else:
            self.weights = {name: longer(weights[name], count) for name, count in counts.items()}

    def run(self, visit: Visit, pace: float) -> float:
        config, w = self._config, self.weights
        row = visit.row
        rows = visit.user, visit.bounds, self.log.item[row], self._value[row], self._told[row], visit.fresh
        scalars = np.float32(config.bias_penalty), np.float32(config.penalty), np.float32(config.implied_penalty)
        rates = np.float32(pace * config.bias_rate), np.float32(pace * config.rate)
        weights = w["user bias"], w["item bias"], w["users"], w["items"], w["implied"]
        return float(
            compiled(_descend)(rows, (visit.turn, visit.draw), weights, (*scalars, self._rarity, self._implied_rarity), rates)
        )

    def predict(self, user: I64, item: I64, at: I64 | None) -> F64:
        w = self.weights
        vectors, bias = pick(w["users"], user), pick(w["user bias"], user)
        add_implied(self.log, w, user, vectors, bias)
        out: F64 = np.einsum("nd,nd->n", vectors, pick(w["items"], item), dtype=np.float64)
        return out + bias + pick(w["item bias"], item)


def _descend(
    rows: Any, order: Any, weights: Any, prices: Any, rates: Any
) -> float:  # pragma: no cover - numba's, unseen by coverage
    """Steps down the gradient, rating by rating, user by user -> the sum of the squared errors."""
    person, bounds, item, value, told, fresh = rows
    turn, draw = order
    user_bias, item_bias, users, items, implied = weights
    bias_price, price, implied_price, rarity, implied_rarity = prices
    bias_rate, rate = rates
    total, width = 0.0, users.shape[1]
    says, heard = np.empty(width, np.float32), np.empty(width, np.float32)
    for number in turn:
        low, high = bounds[number], bounds[number + 1]
        who, share = person[number], np.float32(1.0) / np.sqrt(np.float32(high - low))
        scarce = np.float32(1.0) / np.sqrt(np.float32(max(told[low:high].sum(), 1)))
        p = users[who]
        says[:], heard[:] = 0.0, 0.0
        for e in range(low, high):
            for d in range(width):
                says[d] += share * implied[item[e], d]
        for e in low + np.argsort(draw[low:high]):
            if not told[e]:
                continue
            i = item[e]
            q = items[i]
            wrong = value[e] - user_bias[who] - item_bias[i]
            for d in range(width):
                wrong -= (p[d] + says[d]) * q[d]
            total += wrong * wrong
            user_bias[who] += bias_rate * (wrong - bias_price * scarce * user_bias[who])
            if fresh[e]:
                item_bias[i] += bias_rate * (wrong - bias_price * rarity[i] * item_bias[i])
            for d in range(width):
                before = p[d]
                p[d] += rate * (wrong * q[d] - price * scarce * before)
                if fresh[e]:
                    heard[d] += wrong * q[d]
                    q[d] += rate * (wrong * (before + says[d]) - price * rarity[i] * q[d])
        if fresh[low:high].any():
            for e in range(low, high):
                for d in range(width):
                    y = implied[item[e], d]
                    implied[item[e], d] += rate * (share * heard[d] - implied_price * implied_rarity[item[e]] * y)
    return total
