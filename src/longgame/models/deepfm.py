"""DeepFM: a factorisation machine and a multi-layer perceptron over the same embeddings, added under one sigmoid. Guo, Tang,
Ye, Li and He: "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", IJCAI 2017.

    y = s(y_FM + y_DNN)                                                    (eq. 1)
    y_FM = <w, x> + sum_{f<g} <v_f, v_g>                                   (eq. 2)
    a_0 = [v_1 ; ... ; v_m],  a_(l+1) = relu(W_l a_l + b_l)                (eq. 3-4)

with one embedding v_f and one weight w_f of each field, learned by cross-entropy on events and drawn negatives. The fields:

    of the history   its items (sum of their embeddings over the root of their number), its last item, its length
    of the item      the item itself, its text vector times a matrix, how often it was taken

Length and times taken are in buckets that double. The sum over pairs is that of all six fields; pairs on one side are the bias
of that side, pairs across are the product of both sides' sums, so the catalogue is scored at the price of a product
(``pairs`` has the same for the perceptron's first layer). The paper's fields are those of an app store, and it has none that
reads a history. An item without events has no embedding of its own: its text speaks for it, and it is in the bucket of the
items taken least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from longgame.arrays import Interactions
from longgame.models.embeddings import drawn
from longgame.models.pairs import Items, Network, PairModel, Recipe, Side, Tower, Users, checked, summed, whole
from longgame.models.space import OneOf, Real, Space, Whole
from longgame.models.stopping import Watch, unwatched
from longgame.models.warm import Warm
from longgame.shapes import check
from longgame.types import F32, I64

_BUCKETS = 32
"""Buckets of a number: one for each power of two."""


@dataclass(frozen=True)
class DeepFMConfig:
    """The size of the embeddings and of the perceptron, and how they are learned."""

    width: int = 64
    """Numbers of a field's embedding."""
    hidden: int = 64
    """H, width of the perceptron's first layer; each further one is half as wide."""
    layers: int = 2
    """Layers of the perceptron."""
    steps: int = 100
    """The last events of a history that it reads."""
    negatives: int = 8
    """Items drawn against each event in training."""
    dropout: float = 0.2
    """Share of the history's numbers dropped in training, in [0, 1)."""
    learning_rate: float = 2e-3
    """Of Adam, above 0."""
    weight_decay: float = 0.1
    """Of Adam, decoupled from the gradient (AdamW), 0 or more."""
    epochs: int = 40
    """At most so many passes over the log."""
    patience: int = 3
    """Passes without a better ranking of held-out events before training stops; 0: all passes, nothing is held out."""
    seed: int = 0

    SPACE: ClassVar[Space] = {
        "width": OneOf((16, 32, 64, 128)),
        "hidden": OneOf((32, 64, 128)),
        "layers": Whole(1, 3),
        "steps": OneOf((20, 50, 100)),
        "negatives": Whole(2, 16, log=True),
        "dropout": Real(0.0, 0.6),
        "learning_rate": Real(5e-4, 1e-2, log=True),
        "weight_decay": Real(1e-3, 1.0, log=True),
    }

    def __post_init__(self) -> None:
        checked(self, self.width)


class DeepFM(PairModel):
    """History and item -> logit, by products of six fields' embeddings and by a perceptron on the same."""

    name = "deepfm"

    def __init__(self, config: DeepFMConfig | None = None, watch: Watch = unwatched) -> None:
        self.config = config or DeepFMConfig()
        super().__init__(self.config, watch)

    def fit(self, log: Interactions, features: F32) -> None:
        check({"I": len(log.items)}, ("features", features, "I X"))
        super().fit(log, features)

    def recipe(self, features: F32) -> Recipe:
        return recipe(self.config, features)


def bucket(count: Tensor) -> Tensor:
    """Whole numbers -> 0 for 0 and 1, then one more for each doubling.

    >>> bucket(torch.tensor([0, 1, 2, 3, 4, 9])).tolist()
    [0, 0, 1, 1, 2, 3]
    """
    return count.clamp(min=1).to(torch.float64).log2().floor().to(torch.int64).clamp(max=_BUCKETS - 1)


def one_side(fields: Tensor, matrix: Tensor) -> Side:
    """(n, m, D+1) embeddings of m fields with the weight of each last, (m D, H) -> the side of these fields.

    Its bias has their weights and the products of its own pairs: half of the sum's square less the sum of squares.
    """
    vectors, weight = fields[..., :-1], fields[..., -1]
    total = vectors.sum(dim=1)
    pairs = 0.5 * (total.square() - vectors.square().sum(dim=1)).sum(dim=1)
    return Side(total, vectors.flatten(1) @ matrix, weight.sum(dim=1) + pairs)


class HistoryFields(Users):
    """The fields of a history: its items, the last of them, its length."""

    by_item = ("history", "last")

    def __init__(self, items: int, config: DeepFMConfig) -> None:
        super().__init__()
        d, self.drop = config.width, config.dropout
        self.history, self.last = nn.Parameter(torch.zeros(items, d + 1)), nn.Parameter(torch.zeros(items, d + 1))
        self.length = nn.Parameter(_small(_BUCKETS, d))
        self.matrix = nn.Parameter(torch.randn(3 * d, config.hidden) * (6 * d) ** -0.5)

    def fields(self, history: Tensor, wanted: Tensor) -> Tensor:
        """(B, L) and (B, L) -> (n, 3, D+1)."""
        pooled, count = summed(self.history, history, wanted)
        last = functional.embedding(history[wanted], torch.cat([self.last, self.last.new_zeros(1, self.last.shape[1])]))
        read = torch.stack([pooled, last], dim=1)
        read = functional.dropout(read, self.drop, self.training)
        return torch.cat([read, self.length[bucket(count)][:, None]], dim=1)

    def forward(self, history: Tensor, wanted: Tensor) -> Side:
        return one_side(self.fields(history, wanted), self.matrix)


class ItemFields(Items):
    """The fields of an item: itself, its text, how often it was taken."""

    text: Tensor
    taken: Tensor

    def __init__(self, start: F32, text: F32, taken: I64, config: DeepFMConfig) -> None:
        super().__init__()
        d = config.width
        self.own = nn.Parameter(torch.from_numpy(start))
        self.project = nn.Parameter(_small(text.shape[1], d))
        self.popularity = nn.Parameter(_small(_BUCKETS, d))
        self.matrix = nn.Parameter(torch.randn(3 * d, config.hidden) * (6 * d) ** -0.5)
        self.offset = nn.Parameter(torch.zeros(config.hidden))
        self.register_buffer("text", torch.from_numpy(np.array(text, np.float32)))
        self.register_buffer("taken", torch.from_numpy(taken))

    def fields(self) -> Tensor:
        """(n, 3, D+1)."""
        return self.of(self.own, self.text, self.taken)

    def of(self, own: Tensor, text: Tensor, taken: Tensor) -> Tensor:
        """(n, D+1), (n, X) and (n,) times taken -> (n, 3, D+1)."""
        return torch.stack([own, text @ self.project, self.popularity[bucket(taken)]], dim=1)

    def side(self, fields: Tensor) -> Side:
        side = one_side(fields, self.matrix)
        return Side(side.dot, side.first + self.offset, side.bias)

    def forward(self) -> Side:
        return self.side(self.fields())


def _small(rows: int, width: int) -> Tensor:
    """(rows, D+1) embeddings to begin with, weight last and zero."""
    out: Tensor = 0.1 * width**-0.5 * torch.randn(rows, width + 1)
    out[:, -1] = 0.0
    return out


def recipe(config: DeepFMConfig, features: F32) -> Recipe:
    """How its network is made; ``features`` (I, X) are the catalogue's text vectors."""
    d = config.width

    def network(log: Interactions, warm: Warm) -> Network:
        ids = warm.ids(log)
        nothing = np.zeros((len(ids), 1), np.float32)
        start = {p: np.hstack([drawn(ids, d, config.seed, f"deepfm {p}"), nothing]) for p in ("history", "last", "own")}
        users = HistoryFields(len(warm), config)
        users.history.data, users.last.data = torch.from_numpy(start["history"]), torch.from_numpy(start["last"])
        taken = np.bincount(log.item, minlength=len(log.items))
        items = ItemFields(start["own"], features[warm.position], taken[warm.position], config)
        return Network(users, items, Tower(config.hidden, config.layers))

    def sides(network: Network, log: Interactions, warm: Warm) -> Side:
        items = network.items
        assert isinstance(items, ItemFields)
        text, taken = np.array(features, np.float32), np.bincount(log.item, minlength=len(log.items))
        return items.side(items.of(whole(items.own, warm), torch.from_numpy(text), torch.from_numpy(taken)))

    return Recipe("deepfm", config, lambda items: HistoryFields(items, config), network, sides)
