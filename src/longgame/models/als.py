"""ALS on implicit feedback: factors of users and items that say who took what, and that nothing else was taken.

Hu, Koren and Volinsky ("Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008) in the form and with the
regularisation of Rendle, Krichene, Zhang and Koren ("Revisiting the Performance of iALS on Item Recommendation
Benchmarks", RecSys 2022, eq. 1 and section 3.2): over users u, items i and the pairs S that the log has,

    sum_S (w_u . h_i - 1)^2 + a sum_all (w_u . h_i)^2 + l sum_u c_u |w_u|^2 + l' sum_i c_i |h_i|^2,   c_u ~ (n_u + a I)^v

with n_u the items that u took, I the items anybody took, and the same for c_i. Which a is right depends on how dense a log
is, .2 on MovieLens and a hundredth of that in a shop, so it is given by what it adds up to (as c_0 in He et al., SIGIR 2016).
c is scaled so that its sum does not depend on v: one penalty then means the same at every v. Each side is solved for in
turn, by a few steps of conjugate gradients from where it stood (Takacs, Pilaszy and Tikk, RecSys 2011).

A user is no parameter when scored: his factors are the exact solution of his part for the history given. Cost: memory
of users and items times width; an iteration is a pass over the log per step of the gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models import kept
from longgame.models.compiled import compiled
from longgame.models.folding import Fold
from longgame.models.histories import TIE_BREAK, known, matrix, popularity, seen_matrix
from longgame.models.space import OneOf, Real, Space, Whole
from longgame.rng import derive
from longgame.types import F32, I64

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class AlsConfig:
    """How much is held in the factors, and what holds them back."""

    width: int = 128
    """Factors of a user and of an item."""
    unobserved: float = 5.0
    """The weight of all that was not taken, together, beside that of all that was: a I is this many mean histories."""
    penalty: float = 0.01
    """l at v = 1: the price of squared factors."""
    by_count: float = 0.5
    """v in [0, 1]: 0 prices all alike, 1 in proportion to what the log says of them."""
    iterations: int = 15
    """Times that both sides are solved for."""
    steps: int = 3
    """Of conjugate gradients, each time."""
    half_life: float = np.inf
    """Events after which an item of the history counts half when scoring; infinite, as in the paper: order is nothing."""
    seed: int = 0

    SPACE: ClassVar[Space] = {
        "width": OneOf((32, 64, 128, 256)),
        "unobserved": Real(0.5, 50.0, log=True),
        "penalty": Real(0.001, 0.1, log=True),
        "by_count": Real(0.0, 1.0),
        "iterations": Whole(5, 20),
        "half_life": OneOf((np.inf, 64.0, 32.0, 16.0, 8.0, 4.0, 2.0)),
    }

    def __post_init__(self) -> None:
        if min(self.width, self.iterations, self.steps) < 1:
            raise ConfigError(f"AlsConfig: width, iterations and steps must be 1 or more, got {self}")
        if not min(self.unobserved, self.penalty, self.half_life) > 0 or not 0 <= self.by_count <= 1:
            raise ConfigError(f"AlsConfig: unobserved, penalty and half_life above 0 and by_count in [0, 1], got {self}")


class Als:
    """Item factors; users are solved for. An empty history scores by popularity. Needs the extra ``factors`` to fit."""

    name = "als"

    def __init__(self, config: AlsConfig | None = None) -> None:
        self.config = config or AlsConfig()
        nothing = np.zeros((0, self.config.width), np.float32)
        self._load(nothing, nothing, np.zeros(0, np.float32), 1.0, kept.nothing(), self.config.unobserved)

    def fit(self, log: Interactions, features: F32) -> None:
        taken = seen_matrix(log)
        turned, config = taken.T.tocsr(), _absolute(self.config, taken)
        draw = derive(config.seed, "als").standard_normal((len(log.users), config.width), np.float32)
        users: F32 = (0.1 / np.sqrt(config.width, dtype=np.float32)) * draw
        users[np.diff(taken.indptr) == 0] = 0.0
        # Items start from nothing and are solved for first, so that no draw depends on the catalogue's order.
        items = np.zeros((len(log.items), config.width), np.float32)
        user_scale, item_scale = _scale(taken, turned, config), _scale(turned, taken, config)
        for _ in range(config.iterations):
            _step(turned, users, items, item_scale, config)
            _step(taken, items, users, user_scale, config)
        self._load(users, items, TIE_BREAK * popularity(log), user_scale, kept.kept(log), config.unobserved)

    def update(self, more: Interactions) -> None:
        """As ``protocols.Incremental``: the users in ``more`` are solved for, then its items, then the users again.

        Nobody else moves, so this is near a fit on the whole log, not equal to it.
        """
        log = kept.then(self._log, more)
        taken, config = seen_matrix(log), replace(self.config, unobserved=self._unobserved)
        if not self._items.any():
            config = _absolute(self.config, taken)
        turned = taken.T.tocsr()
        # Users keep their rows; new ones and new items start from nothing.
        users, items = _grown(self._users, len(log.users)), _grown(self._items, len(log.items))
        user_scale, item_scale = _scale(taken, turned, config), _scale(turned, taken, config)
        place = {user: row for row, user in enumerate(log.users)}
        met = np.unique([place[more.users[row]] for row in np.unique(more.user).tolist()]).astype(np.int64)
        touched = np.unique(more.item)
        for _ in range(2):
            users[met] = _solved(taken[met], items, user_scale, config)
            items[touched] = _solved(turned[touched], users, item_scale, config)
        users[met] = _solved(taken[met], items, user_scale, config)
        self._load(users, items, TIE_BREAK * popularity(log), user_scale, log, config.unobserved)

    def score(self, histories: I64) -> F32:
        users = self.user_vectors(histories)
        out: F32 = users @ self._items.T
        out += self._tie
        return out

    def user_vectors(self, histories: I64) -> F32:
        """(B, T) as for :meth:`score` -> (B, D), whose products with ``item_vectors`` are the scores but for ties."""
        histories = known(histories, len(self._items))
        taken = matrix(histories, len(self._items), self.config.half_life)
        config = replace(self.config, unobserved=self._unobserved)
        return self._fold.solve(taken, _prices(_weight(taken), self._warm, self._scale, config))

    @property
    def item_vectors(self) -> F32:
        """(I, D)"""
        return self._items

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        own = {"users": self._users.copy(), "items": self._items.copy(), "tie": self._tie.copy()}
        return {**own, "scale": np.array([self._scale, self._unobserved]), **kept.to_arrays(self._log)}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        users, items, tie = (np.array(state[name], np.float32) for name in ("users", "items", "tie"))
        scale, unobserved = state["scale"].tolist()
        self._load(users, items, tie, scale, kept.from_arrays(state), unobserved)

    def _load(self, users: F32, items: F32, tie: F32, scale: float, log: Interactions, unobserved: float) -> None:
        self._users, self._items, self._tie, self._log = users, items, tie, log  # (U, D), (I, D), (I,)
        self._scale, self._warm, self._unobserved = scale, _warm(items), unobserved
        self._fold = Fold.of(items, unobserved)


def _absolute(config: AlsConfig, taken: csr_array) -> AlsConfig:
    """``unobserved`` as a, the weight of a single pair, for a log of these (U, I) pairs."""
    users, items = (len(np.unique(side)) for side in taken.nonzero())
    return replace(config, unobserved=config.unobserved * max(1, taken.nnz) / max(1, users * items))


def _warm(factors: F32) -> int:
    """How many there are of whom the log says something."""
    return int(factors.any(axis=1).sum())


def _grown(factors: F32, count: int) -> F32:
    return np.concatenate([factors, np.zeros((count - len(factors), factors.shape[1]), np.float32)])


def _scale(rows: csr_array, columns: csr_array, config: AlsConfig) -> float:
    """What makes the sum of c the same at every v, for the rows that have entries."""
    count = np.diff(rows.indptr)
    count = count[count > 0] + config.unobserved * np.count_nonzero(np.diff(columns.indptr))
    return float(count.sum() / (count**config.by_count).sum()) if len(count) else 1.0


def _prices(count: F32, others: int, scale: float, config: AlsConfig) -> F32:
    """(n,) l c of rows that took ``count`` (n,) of ``others``."""
    out: F32 = (config.penalty * scale * (count + config.unobserved * others) ** config.by_count).astype(np.float32)
    return out


def _step(taken: csr_array, factors: F32, out: F32, scale: float, config: AlsConfig) -> None:
    """Moves ``out`` (n, D), in place, towards the solution for rows ``taken`` (n, m) of ``factors`` (m, D)."""
    count = np.diff(taken.indptr)
    price = _prices(count.astype(np.float32), _warm(factors), scale, config)
    base = np.float32(config.unobserved) * (factors.T @ factors)
    compiled(_conjugate_gradients)(taken.indptr, taken.indices, factors, base, price, out, config.steps)


def _solved(taken: csr_array, factors: F32, scale: float, config: AlsConfig) -> F32:
    """(n, D) exact solutions for rows ``taken`` (n, m), weighted, of ``factors`` (m, D); zeros for empty rows."""
    return Fold.of(factors, config.unobserved).solve(taken, _prices(_weight(taken), _warm(factors), scale, config))


def _weight(taken: csr_array) -> F32:
    """(n,) what the entries of each row weigh together."""
    return np.asarray(taken.sum(axis=1), np.float32).reshape(-1)


def _conjugate_gradients(
    bounds: Any, index: Any, factors: Any, base: Any, price: Any, out: Any, steps: int
) -> None:  # pragma: no cover - numba's, unseen by coverage
    """For each row x of ``out`` a few steps towards (base + sum h h' + price) x = sum h over the row's ``factors`` h."""
    width = factors.shape[1]
    longest = 0
    for row in range(len(bounds) - 1):
        longest = max(longest, bounds[row + 1] - bounds[row])
    near = np.empty((longest, width), np.float32)  # the row's factors side by side: read once, then out of the cache
    left, along, image = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(len(bounds) - 1):
        first, count = bounds[row], bounds[row + 1] - bounds[row]
        x = out[row]
        if count == 0:
            x[:] = 0.0
            continue
        for d in range(width):
            left[d] = -price[row] * x[d]
            for e in range(width):
                left[d] -= base[d, e] * x[e]
        for k in range(count):
            h = factors[index[first + k]]
            product = np.float32(0.0)
            for d in range(width):
                near[k, d] = h[d]
                product += h[d] * x[d]
            for d in range(width):
                left[d] += (np.float32(1.0) - product) * near[k, d]
        size = np.float32(0.0)
        for d in range(width):
            along[d] = left[d]
            size += left[d] * left[d]
        for _ in range(steps):
            if size < 1e-20:
                break
            for d in range(width):
                total = price[row] * along[d]
                for e in range(width):
                    total += base[d, e] * along[e]
                image[d] = total
            for k in range(count):
                product = np.float32(0.0)
                for d in range(width):
                    product += near[k, d] * along[d]
                for d in range(width):
                    image[d] += product * near[k, d]
            bend = np.float32(0.0)
            for d in range(width):
                bend += along[d] * image[d]
            far, before, size = size / bend, size, np.float32(0.0)
            for d in range(width):
                x[d] += far * along[d]
                left[d] -= far * image[d]
                size += left[d] * left[d]
            for d in range(width):
                along[d] = left[d] + size / before * along[d]
