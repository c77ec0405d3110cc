"""Vectors spread over the graph of users and items, and nothing else learned. He, Deng, Wang, Li, Zhang and Wang:
"LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR 2020.

With R (U, I), 1 where a user took an item, and N = Du^-1/2 R Di^-1/2, the degrees' roots taken out on both sides, layer k+1 is

    E_u^(k+1) = N E_i^(k),   E_i^(k+1) = N' E_u^(k)        (eq. 3, and 7-8 as matrices)

the final vectors are the means of layers 0 to K (eq. 4 with a_k = 1 / (K + 1)), a score is their product (eq. 5) and the
vectors of layer 0 are learned by BPR (eq. 15) with Adam, all users and items being spread anew at each step.

A user is no parameter when scored: his final vector is made by the same propagation from the layers of his items, his own
layer 0 being none (zero):

    e_u = sum_i w_i s_i / sqrt(sum_i w_i),   s_i = |N_i|^-1/2 sum_{k<K} e_i^(k) / (K + 1),

w_i being 1, or less the older the event where ``half_life`` says so. Two things are not the paper's. ``user_vectors=False``
leaves users without layer 0 while training too, so that what is trained is what is scored; then every other layer is zero and
a step costs half. And ``without_own`` takes s_i / sqrt(|N_u|) of the item that is asked for out of the user's vector in
training, as FISM does (Kabbur, Ning and Karypis, KDD 2013): who is served has not taken it. docs/models.md has figures of both.
An item without events is on no edge; its vector is zero.
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
from longgame.models.embeddings import drawn
from longgame.models.histories import known, matrix, seen_matrix
from longgame.models.space import OneOf, Real, Space, Whole
from longgame.models.stopping import Watch, unwatched
from longgame.models.untaken import TRIES, Untaken
from longgame.models.warm import Warm
from longgame.rng import derive
from longgame.types import F32, I64

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_ARRAYS = ("items", "from_history", "tie")


@dataclass(frozen=True)
class LightGCNConfig:
    """How far vectors are spread and how they are learned."""

    width: int = 64
    """D, width of a vector."""
    layers: int = 2
    """K, steps along the graph."""
    user_vectors: bool = False
    """Whether users have vectors of their own while training, as in the paper."""
    without_own: bool = True
    """Whether a user's vector is made without the item asked for while training."""
    learning_rate: float = 0.05
    """Of Adam, above 0."""
    penalty: float = 1e-5
    """l of eq. 15: the price of the squares of the layer-0 vectors of a batch's triples, a triple."""
    batch: int = 4096
    """Events a step. Large, since each step spreads over the whole graph."""
    epochs: int = 100
    """At most so many passes over the log."""
    patience: int = 10
    """Passes without a better ranking of held-out events before training stops; 0: all passes, nothing is held out."""
    half_life: float = np.inf
    """Events after which an item of the history counts half when scoring."""
    seed: int = 0

    SPACE: ClassVar[Space] = {
        "width": OneOf((32, 64, 128)),
        "layers": Whole(1, 4),
        "learning_rate": Real(0.01, 0.1, log=True),
        "penalty": Real(1e-6, 1e-3, log=True),
        "half_life": OneOf((np.inf, 64.0, 32.0, 16.0, 8.0, 4.0, 2.0)),
    }

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.batch, self.epochs) < 1 or self.patience < 0:
            raise ConfigError(
                f"LightGCNConfig: width, layers, batch and epochs must be 1 or more and patience 0 or more, got {self}"
            )
        if not min(self.learning_rate, self.half_life) > 0 or not self.penalty >= 0:
            raise ConfigError(f"LightGCNConfig: learning_rate, half_life must be above 0, penalty 0 or more, got {self}")


class LightGCN:
    """Final vectors of items, and what each adds to the vector of a user who took it."""

    name = "lightgcn"

    def __init__(self, config: LightGCNConfig | None = None, watch: Watch = unwatched) -> None:
        self.config = config or LightGCNConfig()
        self.watch = watch
        self.best_epoch = 0
        """Passes after which the held-out events were ranked best; 0 where nothing was held out."""
        self._arrays = self._nothing(0)

    def _nothing(self, items: int) -> Arrays:
        none = np.zeros((items, self.config.width), np.float32)
        return {"items": none, "from_history": none.copy(), "tie": np.zeros(items, np.float32)}

    def fit(self, log: Interactions, features: F32) -> None:
        c = self.config
        self.best_epoch, self._arrays = 0, self._nothing(len(log.items))
        if not len(log):
            return
        done = stopping.fit(lambda part: _Trainer(part, c), log, c.epochs, c.patience, True, c.seed, self.watch)
        self.best_epoch, self._arrays = done.best_epoch, done.trainer.weights()["model"]

    def score(self, histories: I64) -> F32:
        return _score(self._arrays, histories, self.config.half_life)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return {name: array.copy() for name, array in self._arrays.items()}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._arrays = {name: np.array(state[name], np.float32) for name in _ARRAYS}


def _score(arrays: Arrays, histories: I64, half_life: float) -> F32:
    items = arrays["items"]
    taken = matrix(known(histories, len(items)), len(items), half_life)
    count = np.asarray(taken.sum(axis=1), np.float32)
    user = (taken @ arrays["from_history"]) / np.sqrt(np.maximum(count, np.float32(1e-9)))[:, None]
    out: F32 = np.asarray(user @ items.T, np.float32)
    out += arrays["tie"]
    return out


class Graph:
    """Users and items with events, and what is spread between them; all in float32."""

    def __init__(self, taken: csr_array) -> None:
        """``taken`` (U, I), 1 where the user took the item; every row and column must hold a 1."""
        by_user, by_item = np.diff(taken.indptr), np.bincount(taken.indices, minlength=taken.shape[1])
        self.of_user: F32 = (by_user**-0.5).astype(np.float32)  # (U,)
        self.of_item: F32 = (by_item**-0.5).astype(np.float32)  # (I,)
        self.forth = taken.astype(np.float32)  # (U, I), N
        self.forth.data = np.repeat(self.of_user, by_user) * self.of_item[taken.indices]
        self.back = self.forth.T.tocsr()

    def layers(self, items: F32, users: F32 | None, count: int) -> tuple[list[F32], list[F32]]:
        """Layers 0 to ``count`` of items and of users, from layer 0; ``users`` None: users have none. Eq. 3."""
        none = np.zeros((len(self.of_user), items.shape[1]), np.float32)
        item, user = [items], [none if users is None else users]
        for layer in range(count):
            alone = users is None  # half of the layers is zero then
            user.append(none if alone and layer % 2 else self.forth @ item[-1])
            item.append(np.zeros_like(items) if alone and not layer % 2 else self.back @ user[-2])
        return item, user

    def final(self, items: F32, users: F32 | None, count: int) -> tuple[F32, F32, F32]:
        """Final vectors of items and users (eq. 4), and what an item adds to a user's vector, times the root of his items."""
        item, user = self.layers(items, users, count)
        share = np.float32(1 / (count + 1))
        to_user: F32 = self.of_item[:, None] * (share * np.sum(item[:-1], axis=0))
        return share * np.sum(item, axis=0), share * np.sum(user, axis=0), to_user

    def gradient(self, item: F32, user: F32, to_user: F32, count: int, own: bool) -> tuple[F32, F32 | None]:
        """Gradients at what :meth:`final` returned -> those at layer 0 of items, and of users where they have one.

        What spreads forth is the transpose of what spreads back, so the gradient is spread over the same graph.
        """
        share = np.float32(1 / (count + 1))
        earlier = share * (item + self.of_item[:, None] * to_user)  # at layers 0 to K - 1 of items
        at_item, at_user = share * item, share * user  # at layer K
        for layer in range(count, 0, -1):
            # Without vectors of their own, users' even layers and items' odd ones are zero whatever layer 0 of items is.
            skip_item, skip_user = not own and layer % 2 == 1, not own and layer % 2 == 0
            to_item = 0 if skip_user else self.back @ at_user
            to_own = 0 if skip_item else self.forth @ at_item
            at_item, at_user = earlier + to_item, share * user + to_own
        return at_item, at_user if own else None


class _Trainer:
    """``stopping.Trainer``: the layer-0 vectors of one log while they are learned."""

    def __init__(self, log: Interactions, config: LightGCNConfig) -> None:
        import torch

        self._config, self._warm = config, Warm.of(log)
        some = np.flatnonzero(np.diff(log.offsets))
        taken = seen_matrix(log)[some][:, self._warm.position].tocsr()
        taken.sort_indices()
        self._graph = Graph(taken)
        row = np.zeros(len(log.users), np.int64)
        row[some] = np.arange(len(some))
        self._user, self._item = row[log.user], self._warm.column[log.item]
        self._untaken = Untaken(taken)
        self._items = drawn(self._warm.ids(log), config.width, config.seed, "lightgcn item")
        self._items *= np.float32(0.1)
        start = derive(config.seed, "lightgcn user").standard_normal((len(some), config.width), np.float32)
        self._users = start * np.float32(0.1 * config.width**-0.5) if config.user_vectors else None
        held = [array for array in (self._items, self._users) if array is not None]
        self._weights = [torch.from_numpy(array) for array in held]  # the optimiser moves the arrays in place
        # foreach=False: one order of additions, so that the same seed is the same model to the last bit
        self._optimizer = torch.optim.Adam(self._weights, lr=config.learning_rate, foreach=False, fused=False)
        self._scored: Arrays | None = None

    def epoch(self, number: int) -> float:
        rng, loss = derive(self._config.seed, "lightgcn", str(number)), 0.0
        self._scored = None
        order = rng.permutation(len(self._user))
        for first in range(0, len(order), self._config.batch):
            rows = order[first : first + self._config.batch]
            user, others = self._user[rows], rng.integers(0, len(self._warm), (len(rows), TRIES))
            other = self._untaken.first(user, others)
            new = other >= 0
            loss += self._step(user, self._item[rows], np.where(new, other, others[:, 0]), new.astype(np.float32))
        return loss / len(order)

    def _step(self, user: I64, item: I64, other: I64, counts: F32) -> float:
        """One step of Adam on (B,) triples, those with ``counts`` 0 left out -> the sum of the losses."""
        import torch

        loss, gradients = self.gradients(user, item, other, counts)
        for weight, gradient in zip(self._weights, gradients, strict=True):
            weight.grad = torch.from_numpy(gradient)
        self._optimizer.step()
        return loss

    def gradients(self, user: I64, item: I64, other: I64, counts: F32) -> tuple[float, list[F32]]:
        """The sum of the losses of (B,) triples, and the gradient of their mean with its price at items, and users."""
        c, graph = self._config, self._graph
        items, users, to_user = graph.final(self._items, self._users, c.layers)
        root = graph.of_user[user][:, None]
        wanted = users[user] - root * to_user[item] if c.without_own else users[user]
        apart_items = items[item] - items[other]
        apart = np.einsum("bd,bd->b", wanted, apart_items)
        wrong = (-counts / (1 + np.exp(np.clip(apart, -80, 80))) / len(user)).astype(np.float32)[:, None]
        at_wanted, at_item = wrong * apart_items, wrong * wanted
        by_user, by_item, by_other = (
            _rows(n, size) for n, size in ((user, len(users)), (item, len(items)), (other, len(items)))
        )
        to_own = by_item @ (-root * at_wanted) if c.without_own else np.zeros_like(items)
        own = self._users is not None
        args = by_item @ at_item - by_other @ at_item, by_user @ at_wanted, to_own
        at_items, at_users = graph.gradient(*args, c.layers, own)
        price = np.float32(c.penalty / len(user))
        times = np.bincount(item, minlength=len(items)) + np.bincount(other, minlength=len(items))
        at_items += price * times.astype(np.float32)[:, None] * self._items
        out = [at_items]
        if self._users is not None and at_users is not None:
            out.append(at_users + price * np.bincount(user, minlength=len(users)).astype(np.float32)[:, None] * self._users)
        return float((counts * np.logaddexp(0, -apart)).sum()), out

    def score(self, histories: I64) -> F32:
        if self._scored is None:
            self._scored = self.weights()["model"]
        return _score(self._scored, histories, self._config.half_life)

    def weights(self) -> Mapping[str, Arrays]:
        items, _, to_user = self._graph.final(self._items, self._users, self._config.layers)
        warm, own = self._warm, {} if self._users is None else {"users": self._users.copy()}
        model = {"items": warm.whole(items), "from_history": warm.whole(to_user), "tie": warm.tie.copy()}
        return {"model": model, "training": {"items": self._items.copy(), **own}}

    def put_back(self, weights: Mapping[str, Arrays]) -> None:
        self._scored = None
        self._items[:] = weights["training"]["items"]
        if self._users is not None:
            self._users[:] = weights["training"]["users"]


def _rows(number: I64, size: int) -> csr_array:
    """Sparse (size, B) that adds up the rows b of one ``number`` (B,): quicker than ``np.add.at``."""
    from scipy.sparse import csr_array

    ones = np.ones(len(number), np.float32)
    return csr_array((ones, (number, np.arange(len(number)))), shape=(size, len(number)))
