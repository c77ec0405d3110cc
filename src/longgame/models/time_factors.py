"""Time-aware factors: SVD++ whose users drift, have moods, and learn on as events arrive.

Koren: "Collaborative Filtering with Temporal Dynamics", KDD 2009, on top of SVD++ (``svdpp.py``, KDD 2008, eq. 15):

    r_ui(t) = mu + b_u + a_u dev_u(t) + b_u,m(t) + b_i + b_i,Bin(t)
              + q_i . (p_u + a'_u dev_u(t) + |N(u)|^-1/2 sum over j in N(u) of y_j)

with dev_u(t) = sign(t - t_u) |t - t_u|^0.4 around the mean moment t_u of the user's ratings (eq. 7; in units in which a
month is 1, so that both halves of the sum learn at like speed), b_u,m the bias of one short moment (eq. 10 and 11, where it is
a day), and Bin(t) one of a few periods of the log with equally many ratings (eq. 6). Left out: the scale c_u(t) of the
items' biases, and factors of a moment, p_u,m, whose memory is width times moments. Asked for a time after or before all
of a user's ratings it stands where they end: a drift is no forecast. What else differs from the papers is said in ``svdpp.py``.

:meth:`TimeFactors.update` learns on without forgetting, so that asked again a minute later it rates with what the user
has done since. As a ranker it is what remains of the sum for somebody of whom is known what he took and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models.compiled import compiled
from longgame.models.implied import add_implied, ranked
from longgame.models.rating_fit import RatedModel, Scale, Visit, Weights, checked, drawn, labelled, longer, pick, rarity, rated
from longgame.models.space import OneOf, Real, Space
from longgame.models.stopping import Watch, unwatched
from longgame.rng import derive
from longgame.types import F32, F64, I64

_MINUTE = 60 * 10**6
"""Microseconds."""
_MONTH = 30 * 1440 * _MINUTE
_BEND = 0.4
"""Exponent of dev, as in the paper."""
_MOMENTS = 2**33
"""Moments before and after the epoch that a code has room for: seconds for 270 years, and a billion users."""


@dataclass(frozen=True)
class TimeFactorsConfig:
    """How much is held in the factors, how fast things may change, and how all that is learned."""

    width: int = 64
    """Factors of a user and of an item."""
    moment: float = 6.0
    """Minutes of one moment, within which a user's mood is one; 1440 is the paper's day."""
    periods: int = 1
    """Parts of the log in which an item's bias may differ; 1 for a log of months, 30 for one of years."""
    bias_penalty: float = 0.1
    """Price of a squared bias, over the root of its owner's ratings; a moment's too."""
    penalty: float = 0.6
    """Price of squared p and q, over the root of their owner's ratings."""
    implied_penalty: float = 2.5
    """Price of squared y, over the root of the item's ratings."""
    period_penalty: float = 4.0
    """Price of a squared bias of an item in a period, over the root of its ratings in it."""
    drift_penalty: float = 1.0
    """Price of a user's squared drift, per rating; ten times that for his factors'."""
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
        "moment": OneOf((6.0, 60.0, 1440.0)),
        "periods": OneOf((1, 4, 30)),
        "penalty": Real(0.2, 3.0, log=True),
        "implied_penalty": Real(0.3, 6.0, log=True),
        "bias_rate": Real(0.002, 0.02, log=True),
        "rate": Real(0.005, 0.05, log=True),
    }

    def __post_init__(self) -> None:
        checked(self, (self.bias_penalty, self.penalty, self.implied_penalty, self.period_penalty, self.drift_penalty))
        if self.periods < 1 or not self.moment >= 1 / 60:
            raise ConfigError(f"TimeFactorsConfig: periods must be 1 or more and moment a second or more, got {self}")


class TimeFactors(RatedModel):
    """SVD++ in time. An empty history scores by the items' biases. Needs the extra ``factors`` to fit."""

    name = "time-factors"

    def __init__(self, config: TimeFactorsConfig | None = None, watch: Watch = unwatched) -> None:
        self.config = config or TimeFactorsConfig()
        super().__init__(partial(_Trainer, self.config), self.config, watch)

    def rate_at(self, users: I64, items: I64, at: I64) -> F32:
        """As :meth:`rate`, which is at the moment of the user's last rating, at the moments ``at`` (n,), in microseconds since
        the epoch."""
        return self._fit.rate(users, items, at)

    def score(self, histories: I64) -> F32:
        weights = self._fit.trainer.weights
        return ranked(self._fit.log, weights, weights["item bias"] + weights["periods"][:, -1], histories)


class _Trainer:
    """Weights, besides those of SVD++: "drift" a (U,) and "factor drift" a' (U, D); "moments" (M,) with their sorted
    "codes" (M,); "periods" (I, P) with the "edges" (P-1,) between them; "middle" t_u (U,). Times in microseconds."""

    def __init__(self, config: TimeFactorsConfig, log: Interactions, scale: Scale, weights: Weights | None) -> None:
        self._config, self.log, self._told, everyone = config, log, labelled(log), np.ones(len(log), np.bool_)
        self._value = scale.inward(np.where(self._told, log.value, 0))
        self._rarity, self._implied_rarity = rarity(log, self._told), rarity(log, everyone)
        self.weights = _start(config, log) if weights is None else _grown(weights, log, self._codes(log.user, log.at))
        if weights is None:
            codes = np.unique(self._codes(log.user, log.at))
            self.weights |= {"codes": codes, "moments": np.zeros(len(codes), np.float32)}
        w = self.weights
        self._place = np.searchsorted(w["codes"], self._codes(log.user, log.at))
        self._period = np.searchsorted(w["edges"], log.at, side="right")
        self._dev = self._drifted(log.user, log.at)
        self._moment_rarity = _over_root(np.bincount(self._place[self._told], minlength=len(w["codes"])))
        count = np.bincount((log.item * config.periods + self._period)[self._told], minlength=len(log.items) * config.periods)
        self._period_rarity = _over_root(count).reshape(len(log.items), config.periods)

    def _codes(self, user: I64, at: I64) -> I64:
        """(n,) a number for each user and moment, ascending in both."""
        out: I64 = user * (2 * _MOMENTS) + _MOMENTS + at // int(self._config.moment * _MINUTE)
        return out

    def _drifted(self, user: I64, at: I64) -> F32:
        """(n,) dev of users who have ratings, at moments within those of their ratings."""
        months = (at - self.weights["middle"][user]) / _MONTH
        return (np.sign(months) * np.abs(months) ** _BEND).astype(np.float32)

    def run(self, visit: Visit, pace: float) -> float:
        config, w, row = self._config, self.weights, visit.row
        rows = visit.user, visit.bounds, self.log.item[row], self._value[row], self._told[row], visit.fresh
        times = self._dev[row], self._place[row], self._period[row]
        prices = config.bias_penalty, config.penalty, config.implied_penalty, config.period_penalty, config.drift_penalty
        rare = self._rarity, self._implied_rarity, self._moment_rarity, self._period_rarity
        rates = np.float32(pace * config.bias_rate), np.float32(pace * config.rate)
        plain = w["user bias"], w["item bias"], w["users"], w["items"], w["implied"]
        timed = w["drift"], w["factor drift"], w["moments"], w["periods"]
        order = visit.turn, visit.draw
        return float(compiled(_descend)(rows, times, order, plain, timed, tuple(map(np.float32, prices)), rare, rates))

    def predict(self, user: I64, item: I64, at: I64 | None) -> F64:
        log, w = self.log, self.weights
        known = rated(log, user)  # others have no first and no last moment
        first, last = np.zeros(len(user), np.int64), np.full(len(user), log.at.max(initial=0))
        first[known], last[known] = log.at[log.offsets[user[known]]], log.at[log.offsets[user[known] + 1] - 1]
        at = last if at is None else at
        dev = np.zeros(len(user), np.float32)
        dev[known] = self._drifted(user[known], np.clip(at, first, last)[known])
        code = self._codes(user, at)
        place = np.searchsorted(w["codes"], code)
        met = np.append(w["codes"], -1)[place] == code
        vectors = pick(w["users"], user) + dev[:, None] * pick(w["factor drift"], user)
        bias = pick(w["user bias"], user)
        add_implied(log, w, user, vectors, bias)
        out: F64 = np.einsum("nd,nd->n", vectors, pick(w["items"], item), dtype=np.float64)
        out += bias + dev * pick(w["drift"], user) + pick(w["moments"], np.where(met, place, -1))
        period = np.searchsorted(w["edges"], at, side="right")
        out += pick(w["item bias"], item) + pick(w["periods"], item)[np.arange(len(item)), period]
        return out


def _over_root(count: I64) -> F32:
    return (1 / np.sqrt(np.maximum(count, 1))).astype(np.float32)


def _start(config: TimeFactorsConfig, log: Interactions) -> Weights:
    """Weights but for moments and their codes."""
    people, things = len(log.users), len(log.items)
    users, items = drawn(log, config.width, derive(config.seed, "time factors"))
    _, implied = drawn(log, config.width, derive(config.seed, "time factors", "implied"))
    zeros = {"user bias": (people,), "item bias": (things,), "drift": (people,), "factor drift": (people, config.width)}
    out: Weights = {name: np.zeros(shape, np.float32) for name, shape in zeros.items()}
    order = np.sort(log.at)
    cuts = len(order) * np.arange(1, config.periods) // config.periods
    edges = order[cuts] if len(order) else np.zeros(len(cuts), np.int64)
    out |= {"users": users, "items": items, "implied": implied, "middle": _middle(log), "edges": edges}
    return out | {"periods": np.zeros((things, config.periods), np.float32)}


def _middle(log: Interactions) -> F64:
    """(U,) mean moment of each user's ratings."""
    return np.bincount(log.user, log.at, minlength=len(log.users)) / np.maximum(np.diff(log.offsets), 1)


def _grown(weights: Weights, log: Interactions, code: I64) -> Weights:
    """``weights`` of an earlier, shorter log: zeros for what is new, a middle for users who had none."""
    people, things = len(log.users), len(log.items)
    counts = dict.fromkeys(("user bias", "users", "drift", "factor drift", "middle"), people)
    counts |= dict.fromkeys(("item bias", "items", "implied", "periods"), things)
    out: Weights = {name: longer(weights[name], count) for name, count in counts.items()}
    out["middle"] = np.where(out["middle"] == 0, _middle(log), out["middle"])
    codes = np.union1d(weights["codes"], code)
    moments = np.zeros(len(codes), np.float32)
    moments[np.searchsorted(codes, weights["codes"])] = weights["moments"]
    return out | {"codes": codes, "moments": moments, "edges": weights["edges"].copy()}


def _descend(
    rows: Any, times: Any, order: Any, plain: Any, timed: Any, prices: Any, rare: Any, rates: Any
) -> float:  # pragma: no cover - numba's, unseen by coverage
    """Steps down the gradient, rating by rating, user by user -> the sum of the squared errors."""
    person, bounds, item, value, told, fresh = rows
    dev, place, period = times
    turn, draw = order
    user_bias, item_bias, users, items, implied = plain
    drift, factor_drift, moments, periods = timed
    bias_price, price, implied_price, period_price, drift_price = prices
    rarity, implied_rarity, moment_rarity, period_rarity = rare
    bias_rate, rate = rates
    total, width = 0.0, users.shape[1]
    says, heard, whole = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for number in turn:
        low, high = bounds[number], bounds[number + 1]
        who, share = person[number], np.float32(1.0) / np.sqrt(np.float32(high - low))
        scarce = np.float32(1.0) / np.sqrt(np.float32(max(told[low:high].sum(), 1)))
        p, a = users[who], factor_drift[who]
        says[:], heard[:] = 0.0, 0.0
        for e in range(low, high):
            for d in range(width):
                says[d] += share * implied[item[e], d]
        for e in low + np.argsort(draw[low:high]):
            if not told[e]:
                continue
            i, t, m, b = item[e], dev[e], place[e], period[e]
            q = items[i]
            wrong = value[e] - user_bias[who] - t * drift[who] - moments[m] - item_bias[i] - periods[i, b]
            for d in range(width):
                whole[d] = p[d] + t * a[d] + says[d]
                wrong -= whole[d] * q[d]
            total += wrong * wrong
            user_bias[who] += bias_rate * (wrong - bias_price * scarce * user_bias[who])
            drift[who] += bias_rate * (wrong * t - drift_price * drift[who])
            moments[m] += bias_rate * (wrong - bias_price * moment_rarity[m] * moments[m])
            if fresh[e]:
                item_bias[i] += bias_rate * (wrong - bias_price * rarity[i] * item_bias[i])
                if periods.shape[1] > 1:  # one period would be the item's bias again
                    periods[i, b] += bias_rate * (wrong - period_price * period_rarity[i, b] * periods[i, b])
            for d in range(width):
                p[d] += rate * (wrong * q[d] - price * scarce * p[d])
                a[d] += rate * (wrong * t * q[d] - np.float32(10.0) * drift_price * a[d])
                if fresh[e]:
                    heard[d] += wrong * q[d]
                    q[d] += rate * (wrong * whole[d] - price * rarity[i] * q[d])
        if fresh[low:high].any():
            for e in range(low, high):
                for d in range(width):
                    y = implied[item[e], d]
                    implied[item[e], d] += rate * (share * heard[d] - implied_price * implied_rarity[item[e]] * y)
    return total
