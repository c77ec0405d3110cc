"""Organic and bandit sessions: a shop's visitors look round by themselves, and elsewhere they see its advertisements.

RecoGym's world, with the dynamics of its ``reco-gym-v1`` (Rohde et al., "RecoGym: A Reinforcement Learning Environment for
the problem of Product Recommendation in Online Advertising", REVEAL workshop at RecSys 2018; code 0.1.3):

- A user has an interest omega, N(0, 1) in five dimensions, hidden. Products have an organic side, Gamma N(0, 1) and a
  popularity N(0, 3), and a bandit side, which is the organic side of another product for those that were *flipped*: pairs are
  exchanged from the most alike on (largest product of Gammas), none twice.
- In an organic session product after product is looked at, with chances softmax(Gamma omega + popularity). After each view
  the session goes on, and omega moves by N(0, .1) in each dimension; or ads are seen next (.25), or the user leaves for good
  (.01).
- An ad of product a is clicked with the chance f(beta_a omega + popularity of the bandit side), f being two logistic curves
  after each other, between .5 and 3 %. After it another ad is seen, or an organic session begins (.05; omega moves), or the
  user leaves (.01). After a click an organic session begins, whatever else would have.

What is looked at tells what a user likes, and is not what is clicked: who recommends what is looked at recommends the wrong one
of each pair. A step is an ad; what was looked at before it is :meth:`Sessions.browsed`. Deviations: who never sees an ad is not
simulated (1 in 26 users of RecoGym's), and a slate of more slots is as many ads at once, each clicked for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from longgame.errors import ConfigError
from longgame.protocols import Outcome
from longgame.rng import derive
from longgame.shapes import check
from longgame.simulation.draws import sigmoid
from longgame.types import F32, F64, I64, Bool, Item, ItemId, Objective


@dataclass(frozen=True)
class SessionsConfig:
    """How many there are of what, and how they behave: RecoGym's ``env_1_args``."""

    users: int = 256
    items: int = 20
    """Products; all are offered."""
    flips: int = 10
    """Pairs of products that exchange what their ads are worth, at most ``items``; 0: ads are clicked as products are liked."""
    width: int = 5
    """Dimensions of an interest."""
    interest: float = 1.0
    """Spread of a new user's interest, 0 or more."""
    drift: float = 0.1
    """Spread of what is added to it between views, 0 or more."""
    popularity: float = 3.0
    """Spread of what all users like alike, 0 or more."""
    organic: tuple[float, float] = (0.25, 0.01)
    """Chance that a view is the last of a session and ads come next, and that the user leaves after it; the former above 0."""
    bandit: tuple[float, float] = (0.05, 0.01)
    """Chance that an organic session begins after an ad, and that the user leaves after it."""
    seed: int = 0
    """Of the products, not of the population."""

    def __post_init__(self) -> None:
        if min(self.users, self.items, self.width) < 1 or not 0 <= self.flips <= self.items:
            raise ConfigError(
                f"SessionsConfig: users, items and width must be 1 or more and flips lie between 0 and items, got {self}"
            )
        if min(self.interest, self.drift, self.popularity) < 0:
            raise ConfigError(f"SessionsConfig: interest, drift and popularity must not be below 0, got {self}")
        for name, (first, second) in (("organic", self.organic), ("bandit", self.bandit)):
            if min(first, second) < 0 or first + second > 1:
                raise ConfigError(f"SessionsConfig.{name}: must be two chances with a sum of at most 1, got {(first, second)}")
        if not self.organic[0] > 0:
            raise ConfigError(f"SessionsConfig.organic: the first must be above 0, else no ad is seen, got {self.organic}")


@dataclass(frozen=True)
class Products:
    """The organic side of I products."""

    likes: F64
    """(I, W) Gamma: what of an interest each meets"""
    popularity: F64
    """(I,)"""

    def __post_init__(self) -> None:
        check({}, ("Products.likes", self.likes, "I W"), ("Products.popularity", self.popularity, "I"))


class Sessions:
    """The world: :class:`longgame.protocols.World` on arrays over B users, who see an ad each step until they leave.

    ``products`` takes the place of those that the config's seed draws: those of a RecoGym that is beside it, say.
    """

    def __init__(self, config: SessionsConfig | None = None, products: Products | None = None) -> None:
        self.config = c = config or SessionsConfig()
        rng = derive(c.seed, "sessions", "catalogue")
        drawn = Products(rng.normal(size=(c.items, c.width)), rng.normal(0.0, c.popularity, c.items))
        self.products = products or drawn
        if self.products.likes.shape != (c.items, c.width):
            raise ConfigError(
                f"Sessions: products must be {(c.items, c.width)} as in the config, got {self.products.likes.shape}"
            )
        self.twin: I64 = flipped(self.products.likes, c.flips)
        """(I,) the product whose organic side is the bandit side of each. Nobody is told."""
        self._offered = np.broadcast_to(np.arange(c.items), (c.users, c.items))
        self.reset(derive(c.seed, "sessions", "population"))

    @property
    def users(self) -> int:
        return self.config.users

    @property
    def objective(self) -> Objective:
        """Clicks on ads. What is shown does not change for how long users stay, but for what a click does: a bandit."""
        return Objective({"click": 1.0}, window=timedelta(hours=12))

    def catalogue(self) -> Sequence[Item]:
        return [Item(ItemId(f"product-{i:04d}"), f"Product {i}.") for i in range(self.config.items)]

    @property
    def vectors(self) -> F32:
        """(I, I) which product it is, and nothing more."""
        return np.eye(self.config.items, dtype=np.float32)

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.interest: F64 = np.empty((self.users, self.config.width))
        self._here: Bool = np.empty(self.users, np.bool_)
        self._browsed: I64 = np.empty((self.users, 0), np.int64)
        self.renew(np.ones(self.users, np.bool_))

    def renew(self, who: Bool) -> None:
        """New users, after their first organic session. It ends with an ad: the others are not simulated."""
        rows, c = np.flatnonzero(who), self.config
        self.interest[rows] = self._rng.normal(0.0, c.interest, (len(rows), c.width))
        self._here[rows] = True
        kept = np.where(who[:, None], -1, self._browsed)
        self._browse(rows)
        fresh, wide = self._browsed, max(kept.shape[1], self._browsed.shape[1])
        self._browsed = np.full((self.users, wide), -1)
        self._browsed[:, : kept.shape[1]] = kept
        self._browsed[rows, : fresh.shape[1]] = fresh[rows]

    def here(self) -> Bool:
        return self._here

    def context(self) -> F32:
        """(B, 0): what is known of a user is what they looked at."""
        return np.zeros((self.users, 0), np.float32)

    def offered(self) -> I64:
        return self._offered

    def browsed(self) -> I64:
        return self._browsed

    def chances(self, slates: I64) -> F64:
        """(B, K) -> (B, K) chance that each ad is clicked; 0 in an empty slot."""
        twin = self.twin[slates]
        out: F64 = f((self.products.likes[twin] * self.interest[:, None]).sum(axis=2) + self.products.popularity[twin])
        return np.where(slates >= 0, out, 0.0)

    def wise(self) -> F64:
        """(B, I) chances of all products, as one knows them who knows the truth: there is no better score."""
        likes, popularity = self.products.likes[self.twin], self.products.popularity[self.twin]
        return f(self.interest @ likes.T + popularity)

    def step(self, slates: I64) -> Outcome:
        """Those who are here see their ads, and then look round or leave or see the next."""
        c, here = self.config, self._here
        click = here[:, None] & (self._rng.random(slates.shape) < self.chances(slates))
        chance, clicked = self._rng.random(self.users), click.any(axis=1)
        moved = here & (chance < c.bandit[0])
        left: Bool = here & ~moved & (chance < sum(c.bandit)) & ~clicked
        self._drift(np.flatnonzero(moved))
        left |= self._browse(np.flatnonzero(moved | clicked), leave=c.organic[1])
        self._here = here & ~left
        return Outcome({"click": np.where(click, np.float32(1.0), np.float32(np.nan))}, left)

    def _browse(self, rows: I64, leave: float = 0.0) -> Bool:
        """An organic session of each of ``rows``, kept as what was browsed -> (B,) who left in it: ``leave`` after a view."""
        c, going, left = self.config, rows, np.zeros(self.users, np.bool_)
        end, seen = sum(c.organic), [np.empty((self.users, 0), np.int64)]
        while len(going):
            column = np.full((self.users, 1), -1)
            column[going, 0] = self._viewed(going)
            seen.append(column)
            going = going[self._rng.random(len(going)) >= end]
            self._drift(going)
        left[rows] = self._rng.random(len(rows)) < leave / end
        self._browsed = np.concatenate(seen, axis=1)
        return left

    def _viewed(self, rows: I64) -> I64:
        """(n,) the next product that each of (n,) users looks at."""
        like = self.interest[rows] @ self.products.likes.T + self.products.popularity
        total = np.cumsum(np.exp(like - like.max(axis=1, keepdims=True)), axis=1)
        out: I64 = (total < self._rng.random((len(rows), 1)) * total[:, -1:]).sum(axis=1)
        return out

    def _drift(self, rows: I64) -> None:
        self.interest[rows] += self._rng.normal(0.0, self.config.drift, (len(rows), self.config.width))


def f(score: F64) -> F64:
    """Score of an ad -> chance of a click, RecoGym's ``ff``: .0045 for the worst, .009 at 0, .029 for the best.

    >>> f(np.array([-100.0, 0.0, 100.0])).round(4).tolist()
    [0.0045, 0.0094, 0.0293]
    """
    return sigmoid(5.0 * sigmoid(2.0 * sigmoid(0.3 * score) - 2.0) - 6.0)


def flipped(likes: F64, number: int) -> I64:
    """(I, W), how many pairs -> (I,) for each product the one it changes places with, itself for the others.

    RecoGym's ``generate_beta``: pairs by the product of their likes, the largest first, none twice. A product with itself
    counts there as a pair of 0, so where only unlike ones are left they stay as they are.
    """
    index = np.arange(len(likes))
    alike = likes @ likes.T
    np.fill_diagonal(alike, 0.0)
    free, left = np.ones(len(likes), np.bool_), number
    for place in np.argsort(-alike, axis=None, kind="stable").tolist():
        if not left:
            break
        one, other = divmod(place, len(likes))
        if free[one] and free[other]:
            index[one], index[other] = other, one
            free[[one, other]] = False
            left -= 1
    return index
