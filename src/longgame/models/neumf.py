"""NeuMF: a product of factors and a multi-layer perceptron, side by side, under one sigmoid. He, Liao, Zhang, Nie, Hu and Chua:
"Neural Collaborative Filtering", WWW 2017.

    y_ui = s(h . [p_u^G * q_i^G ; z_L])                                   (eq. 12, the last line)
    z_1 = a(W_1 [p_u^M ; q_i^M] + b_1),  z_(l+1) = a(W_(l+1) z_l + b_(l+1))   (eq. 10)

with * elementwise, s the logistic function and a = ReLU, learned by binary cross-entropy on events and drawn negatives
(eq. 7). h's part for the product is kept inside of q^G, which is the same model. Three things are not the paper's:

* A user has no p_u, so that somebody new is served from his first event: both of his vectors are learned linear maps of the sum
  of his history's item vectors over the root of their number, which are not the q_i, as in FISM (Kabbur, Ning and Karypis, KDD
  2013) and NAIS (He et al., TKDE 2018). In training the history is what came before the event, so nothing tells of itself.
* An item has a bias, since a product of so few factors tells popularity badly.
* Both parts are trained at once by Adam from random numbers; eq. 13's separate pre-training is left out.

``pairs`` has the split of W_1 into the user's and the item's columns, and what a negative is. An item without events has
the vector zero and the least bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from longgame.arrays import Interactions
from longgame.models.embeddings import drawn
from longgame.models.pairs import Items, Network, PairModel, Recipe, Side, Tower, Users, checked, summed, whole
from longgame.models.space import OneOf, Real, Space, Whole
from longgame.models.stopping import Watch, unwatched
from longgame.models.warm import Warm
from longgame.types import F32


@dataclass(frozen=True)
class NeuMFConfig:
    """The size of both parts and how they are learned."""

    width: int = 64
    """Factors of the product, and numbers of an item for the perceptron."""
    hidden: int = 64
    """H, width of the perceptron's first layer; each further one is half as wide."""
    layers: int = 2
    """Layers of the perceptron."""
    steps: int = 100
    """The last events of a history that it reads."""
    negatives: int = 8
    """Items drawn against each event in training."""
    dropout: float = 0.2
    """Share of a user's numbers dropped in training, in [0, 1)."""
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
        "negatives": Whole(2, 16, log=True),
        "dropout": Real(0.0, 0.6),
        "learning_rate": Real(5e-4, 1e-2, log=True),
        "weight_decay": Real(1e-3, 1.0, log=True),
    }

    def __post_init__(self) -> None:
        checked(self, self.width)


class NeuMF(PairModel):
    """History and item -> logit, by factors and by a perceptron."""

    name = "neumf"

    def __init__(self, config: NeuMFConfig | None = None, watch: Watch = unwatched) -> None:
        self.config = config or NeuMFConfig()
        super().__init__(self.config, watch)

    def recipe(self, features: F32) -> Recipe:
        return recipe(self.config)


class HistoryVectors(Users):
    """Both of a user's vectors from his history, the second one already through W_1."""

    by_item = ("history",)

    def __init__(self, items: int, config: NeuMFConfig) -> None:
        super().__init__()
        self.drop = config.dropout
        self.history = nn.Parameter(torch.zeros(items, config.width))
        self.product, self.perceptron = nn.Linear(config.width, config.width), nn.Linear(config.width, config.width)
        self.first = nn.Linear(config.width, config.hidden, bias=False)
        with torch.no_grad():
            self.product.weight.copy_(torch.eye(config.width))

    def forward(self, history: Tensor, wanted: Tensor) -> Side:
        pooled = functional.dropout(summed(self.history, history, wanted)[0], self.drop, self.training)
        return Side(self.product(pooled), self.first(self.perceptron(pooled)), pooled.new_zeros(len(pooled)))


class ItemVectors(Items):
    """q^G, q^M through W_1, and the bias."""

    def __init__(self, factors: F32, numbers: F32, config: NeuMFConfig) -> None:
        super().__init__()
        self.factors, self.numbers = (nn.Parameter(torch.from_numpy(array)) for array in (factors, numbers))
        self.bias = nn.Parameter(torch.zeros(len(factors)))
        self.first = nn.Linear(config.width, config.hidden)

    def forward(self) -> Side:
        return Side(self.factors, self.first(self.numbers), self.bias)


def recipe(config: NeuMFConfig) -> Recipe:
    """How its network is made."""

    def network(log: Interactions, warm: Warm) -> Network:
        ids = warm.ids(log)
        start = [drawn(ids, config.width, config.seed, f"neumf {part}") for part in ("history", "factors", "numbers")]
        users = HistoryVectors(len(warm), config)
        users.history.data = torch.from_numpy(start[0])
        return Network(users, ItemVectors(start[1], start[2], config), Tower(config.hidden, config.layers))

    def sides(network: Network, log: Interactions, warm: Warm) -> Side:
        own = network.items()
        bias = torch.full((len(log.items),), float(own.bias.min()))
        bias[torch.from_numpy(warm.position)] = own.bias
        return Side(whole(own.dot, warm), whole(own.first, warm), bias)

    return Recipe("neumf", config, lambda items: HistoryVectors(items, config), network, sides)
