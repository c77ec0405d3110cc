"""Long-term satisfaction: what is clicked most leaves people less content, and the content click more.

The world "choc and kale" with the dynamics of RecSim 0.2.4 (``environments/long_term_satisfaction.py``):

- An item is clickbait to a degree c, uniform in [0, 1], which is told. The first item of a slate is always clicked.
- A user's exposure e, hidden, is moved by each click to .7 e - 2 (c - .5) + N(0, .05), and is uniform within 1 / (2 (1 - .7))
  of 0 at first; satisfaction is sigmoid(.01 e).
- The engagement is log-normal: the logarithm has the mean (5 c + 4 (1 - c)) satisfaction and the deviation 1.
- After 60 clicks the user leaves.

The reward is engagement, without a discount. With these settings of RecSim satisfaction moves by 1.7 % either way, which is
worth 8 % of engagement, while clickbait is worth 45 % at once: the best policy is to show the most clickbait, always, and none
can get more than about 1,156 (c = 1 throughout). ``sensitivity`` makes a trade-off of it: at .1 kale wins in the long run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from longgame.errors import ConfigError
from longgame.protocols import Outcome
from longgame.rng import derive
from longgame.simulation.draws import spread
from longgame.types import F32, F64, I64, Bool, Item, ItemId, Objective

CHOC, KALE, DEVIATION = 5.0, 4.0, 1.0
"""Log-engagement with clickbait and without at full satisfaction, and its deviation."""
MEMORY, NOISE = 0.7, 0.05
"""Share of the exposure that is left after a click, and the deviation of what is added."""


@dataclass(frozen=True)
class LongTermSatisfactionConfig:
    """How many there are of what."""

    users: int = 256
    candidates: int = 10
    """Items of which a slate can be made, each time others."""
    items: int = 2003
    """Items in the catalogue, at least as many as ``candidates``."""
    sensitivity: float = 0.01
    """How far exposure moves satisfaction, 0 or more."""
    clicks: int = 60
    """Of a user, then the session ends."""
    seed: int = 0
    """Of the catalogue, not of the population."""

    def __post_init__(self) -> None:
        if min(self.users, self.clicks) < 1 or not 1 <= self.candidates <= self.items or self.sensitivity < 0:
            raise ConfigError(
                "LongTermSatisfactionConfig: users and clicks must be 1 or more, candidates between 1 and items, and "
                f"sensitivity not below 0, got {self}"
            )


class LongTermSatisfaction:
    """The world: :class:`longgame.protocols.World` on arrays over B users."""

    def __init__(self, config: LongTermSatisfactionConfig | None = None) -> None:
        self.config = config or LongTermSatisfactionConfig()
        rng = derive(self.config.seed, "long-term satisfaction", "catalogue")
        self.clickbait: F64 = rng.permutation((np.arange(self.config.items) + 0.5) / self.config.items)
        self.reset(derive(self.config.seed, "long-term satisfaction", "population"))

    @property
    def users(self) -> int:
        return self.config.users

    @property
    def objective(self) -> Objective:
        """Engagement; a step is a day, and a day later is 2 % less."""
        return Objective({"watch": 1.0}, by_value=frozenset({"watch"}), window=timedelta(hours=12), discount=0.98)

    def catalogue(self) -> Sequence[Item]:
        return [
            Item(ItemId(f"item-{i:05d}"), f"{c:.0%} clickbait.", {"clickbait": c})
            for i, c in enumerate(self.clickbait.tolist())
        ]

    @property
    def vectors(self) -> F32:
        """(I, 2) clickbait and kale."""
        return np.stack([self.clickbait, 1.0 - self.clickbait], axis=1).astype(np.float32)

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.exposure: F64 = np.empty(self.users)
        self.clicks: I64 = np.empty(self.users, np.int64)
        self.renew(np.ones(self.users, np.bool_))
        self._offered = spread(rng, self.users, self.config.candidates, self.config.items)

    def renew(self, who: Bool) -> None:
        rows = np.flatnonzero(who)
        self.exposure[rows] = (self._rng.random(len(rows)) - 0.5) / (1.0 - MEMORY)
        self.clicks[rows] = self.config.clicks

    @property
    def satisfaction(self) -> F64:
        """(B,) in (0, 1): hidden."""
        out: F64 = 1.0 / (1.0 + np.exp(-self.config.sensitivity * self.exposure))
        return out

    def here(self) -> Bool:
        here: Bool = self.clicks > 0
        return here

    def context(self) -> F32:
        """(B, 0): nothing of a user is told."""
        return np.zeros((self.users, 0), np.float32)

    def offered(self) -> I64:
        return self._offered

    def step(self, slates: I64) -> Outcome:
        first = (slates >= 0).argmax(axis=1)
        rows = np.flatnonzero(self.here() & (slates >= 0).any(axis=1))
        column = first[rows]
        c = self.clickbait[slates[rows, column]]
        mean = (c * CHOC + (1.0 - c) * KALE) * self.satisfaction[rows]
        values = np.full(slates.shape, np.nan, np.float32)
        values[rows, column] = np.exp(self._rng.normal(mean, DEVIATION))
        self.exposure[rows] = MEMORY * self.exposure[rows] - 2.0 * (c - 0.5) + self._rng.normal(0.0, NOISE, len(rows))
        self.clicks[rows] -= 1
        self._offered = spread(self._rng, self.users, self.config.candidates, self.config.items)
        left = np.zeros(self.users, np.bool_)
        left[rows] = self.clicks[rows] <= 0
        return Outcome({"watch": values}, left)
