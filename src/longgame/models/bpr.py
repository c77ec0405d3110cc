"""BPR-MF: factors of users and items that rank what was taken above what was not. Rendle, Freudenthaler, Gantner and
Schmidt-Thieme: "BPR: Bayesian Personalized Ranking from Implicit Feedback", UAI 2009.

For an event of user u on item i and an item j that u never took (drawn alike among the items with events), stochastic
gradient descent on (the negative of eq. 4, section 4.3.1)

    -ln s(x_ui - x_uj) + l (|w_u|^2 + |h_i|^2 + |h_j|^2 + b_i^2 + b_j^2) / 2,   x_ui = w_u . h_i + b_i,

s being the logistic function, with a step that shrinks to nothing by the last pass. The paper draws events with
replacement; here each comes once a pass.

A user is no parameter when scored. The paper has no word for somebody new; here a linear map from the sum of the history's
item factors over the root of their number to the factors of a user is fitted by ridge regression over the users of the log.
It ranks held-out items better than the users' own factors do, which are noisier (docs/models.md has figures).
An item without events has no factors and the least bias. ``adversary`` makes it APR (``models.adversary``); as in that
paper it begins on factors that BPR has learned: after half of the passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.errors import ConfigError
from longgame.models import stopping
from longgame.models.adversary import resist
from longgame.models.compiled import compiled
from longgame.models.histories import known, matrix, seen_matrix
from longgame.models.space import OneOf, Real, Space, Whole
from longgame.models.stopping import Watch, unwatched
from longgame.models.untaken import TRIES, Untaken
from longgame.models.warm import Warm
from longgame.rng import derive
from longgame.types import F32, I64

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_HELD = 1_000_000
"""Events drawn for at once: 32 MB."""
_RIDGE = 1.0
"""Price of the map from histories to users, in users."""


@dataclass(frozen=True)
class BprConfig:
    """How much is held in the factors, and how they are learned."""

    width: int = 64
    """Factors of a user and of an item."""
    learning_rate: float = 0.1
    """Size of the first steps."""
    penalty: float = 0.01
    """l: the price of squared factors, each time they are touched."""
    epochs: int = 60
    """Passes over the log; the steps shrink to nothing by the last one."""
    patience: int = 0
    """Passes without a better ranking of held-out events before training stops; 0: all passes, nothing is held out."""
    half_life: float = np.inf
    """Events after which an item of the history counts half when scoring."""
    adversary: float = 0.0
    """Length of the push that factors must stand in the second half of the passes (APR; .5 in the paper). 0: none."""
    adversary_weight: float = 1.0
    """Of the loss under that push; the loss without it has weight 1."""
    seed: int = 0

    SPACE: ClassVar[Space] = {
        "width": OneOf((32, 64, 128)),
        "learning_rate": Real(0.02, 0.3, log=True),
        "penalty": Real(0.001, 0.1, log=True),
        "epochs": Whole(20, 120, log=True),
        "half_life": OneOf((np.inf, 64.0, 32.0, 16.0, 8.0, 4.0, 2.0)),
    }

    def __post_init__(self) -> None:
        if min(self.width, self.epochs) < 1 or self.patience < 0:
            raise ConfigError(f"BprConfig: width and epochs must be 1 or more and patience 0 or more, got {self}")
        if not min(self.learning_rate, self.half_life) > 0 or not self.penalty >= 0:
            raise ConfigError(f"BprConfig: learning_rate and half_life must be above 0 and penalty 0 or more, got {self}")
        if not (self.adversary >= 0 and self.adversary_weight >= 0):
            raise ConfigError(f"BprConfig: adversary and adversary_weight must be 0 or more, got {self}")


class Bpr:
    """Item factors and biases, and a map from histories to users. Needs the extra ``factors`` to fit."""

    name = "bpr"

    def __init__(self, config: BprConfig | None = None, watch: Watch = unwatched) -> None:
        self.config = config or BprConfig()
        self.watch = watch
        self.best_epoch = 0
        """Passes after which the held-out events were ranked best; 0 where nothing was held out."""
        width = self.config.width
        self._arrays: Arrays = {
            "items": np.zeros((0, width), np.float32),
            "bias": np.zeros(0, np.float32),
            "map": np.zeros((width + 1, width), np.float32),
        }

    def fit(self, log: Interactions, features: F32) -> None:
        c = self.config
        if not len(log):
            nothing = np.zeros((len(log.items), c.width), np.float32)
            self._arrays = {"items": nothing, "bias": nothing[:, 0].copy(), "map": np.zeros((c.width + 1, c.width), np.float32)}
            return
        done = stopping.fit(lambda part: _Trainer(part, c), log, c.epochs, c.patience, True, c.seed, self.watch)
        self.best_epoch, self._arrays = done.best_epoch, done.trainer.weights()["model"]

    def score(self, histories: I64) -> F32:
        return _score(self._arrays, histories, self.config.half_life)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return {name: array.copy() for name, array in self._arrays.items()}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._arrays = {name: np.array(state[name], np.float32) for name in ("items", "bias", "map")}


def _score(arrays: Arrays, histories: I64, half_life: float) -> F32:
    items, bias = arrays["items"], arrays["bias"]
    taken = matrix(known(histories, len(bias)), len(bias), half_life)
    out: F32 = _pooled(taken, items) @ arrays["map"] @ items.T
    out += bias
    return out


def _pooled(taken: csr_array, items: F32) -> F32:
    """(n, I) histories and (I, D) factors -> (n, D + 1): the weighted sum over the root of the weights, and a 1."""
    count = np.asarray(taken.sum(axis=1), np.float32)
    mean = (taken @ items) / np.sqrt(np.maximum(count, np.float32(1e-9)))[:, None]
    return np.concatenate([mean, np.ones((len(count), 1), np.float32)], axis=1)


class _Trainer:
    """``stopping.Trainer``: the factors of one log while they are learned."""

    def __init__(self, log: Interactions, config: BprConfig) -> None:
        self._config, self._log, self._taken, self._warm = config, log, seen_matrix(log), Warm.of(log)
        self._untaken = Untaken(self._taken)
        rng, small = derive(config.seed, "bpr"), np.float32(0.1 / np.sqrt(config.width))
        self._items = self._warm.whole(small * rng.standard_normal((len(self._warm), config.width), np.float32))
        self._users = small * rng.standard_normal((len(log.users), config.width), np.float32)
        self._bias = np.zeros(len(log.items), np.float32)

    def epoch(self, number: int) -> float:
        config, log = self._config, self._log
        rng = derive(config.seed, "bpr", str(number))
        rate = np.float32(config.learning_rate * max(0.0, 1 - number / config.epochs))
        order, user, loss = rng.permutation(len(log)), log.user, 0.0
        arrays = self._users, self._items, self._bias
        for first in range(0, len(order), _HELD):
            rows = order[first : first + _HELD]
            others = self._warm.position[rng.integers(0, len(self._warm), (len(rows), TRIES))]
            if config.adversary and 2 * number >= config.epochs:
                other = self._untaken.first(user[rows], others)
                prices = np.array([config.penalty, config.adversary, config.adversary_weight], np.float32)
                loss += compiled(resist)(user[rows], log.item[rows], other, *arrays, rate, prices)
                continue
            known_pairs = self._taken.indptr, self._taken.indices
            loss += compiled(_descend)(
                user[rows], log.item[rows], others, *known_pairs, *arrays, rate, np.float32(config.penalty)
            )
        return loss / len(order)

    def score(self, histories: I64) -> F32:
        return _score(self.weights()["model"], histories, self._config.half_life)

    def weights(self) -> Mapping[str, Arrays]:
        some = np.diff(self._taken.indptr) > 0
        pooled = _pooled(self._taken, self._items)[some].astype(np.float64)
        normal = pooled.T @ pooled + _RIDGE * np.eye(pooled.shape[1])
        to_user = np.linalg.solve(normal, pooled.T @ self._users[some]).astype(np.float32)
        bias = self._bias + self._warm.tie
        bias[self._warm.column[:-1] < 0] = bias.min()
        return {
            "model": {"items": self._items.copy(), "bias": bias, "map": to_user},
            "training": {"users": self._users.copy(), "bias": self._bias.copy()},
        }

    def put_back(self, weights: Mapping[str, Arrays]) -> None:
        self._items = np.array(weights["model"]["items"])
        self._users, self._bias = np.array(weights["training"]["users"]), np.array(weights["training"]["bias"])


def _descend(
    user: Any, item: Any, others: Any, bounds: Any, taken: Any, users: Any, items: Any, bias: Any, rate: Any, price: Any
) -> float:  # pragma: no cover - numba's, unseen by coverage
    """One step an event, in place; the sum of the losses before each. ``taken`` between ``bounds``: users' items, ascending."""
    loss = 0.0
    for n in range(len(user)):
        u, i, j = user[n], item[n], -1
        for other in others[n]:
            low, high = bounds[u], bounds[u + 1]
            while low < high:
                middle = (low + high) // 2
                if taken[middle] < other:
                    low = middle + 1
                else:
                    high = middle
            if low == bounds[u + 1] or taken[low] != other:
                j = other
                break
        if j < 0:
            continue
        w, h, g = users[u], items[i], items[j]
        apart = bias[i] - bias[j]
        for d in range(len(w)):
            apart += w[d] * (h[d] - g[d])
        wrong = np.float32(1.0) / (np.float32(1.0) + np.exp(apart))
        loss += np.log1p(np.exp(-apart))
        for d in range(len(w)):
            own, up, down = w[d], h[d], g[d]
            w[d] += rate * (wrong * (up - down) - price * own)
            h[d] += rate * (wrong * own - price * up)
            g[d] += rate * (-wrong * own - price * down)
        bias[i] += rate * (wrong - price * bias[i])
        bias[j] -= rate * (wrong + price * bias[j])
    return loss
