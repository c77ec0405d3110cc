"""A market whose sellers act too: they promote, cut the price or stay away, and customers choose and remember.

Each seller has one thing to sell, with a topic, a *quality*, a cost and a price. Every day a seller is in one of
:data:`MODES`: plain; *promoted*, which is paid a look and makes the thing wanted more and promises more than it holds;
with the price *cut*; both; or *away*, when there is nothing to show. What is offered is each seller's thing as it is today: the
catalogue has every thing in every mode, so that a log can name what was shown.

- A customer sees a slate and buys one thing of it or none: a multinomial logit in taste for its topic, price and promotion.
- *Satisfaction* moves with what was bought towards its quality, less :attr:`MarketConfig.letdown` where it was promoted. It
  is what brings a customer back, and who is dissatisfied leaves for good.
- A seller earns price less cost of what is bought, and pays for each look at what is promoted.

The reward is a purchase. *The trap:* promotion sells today. Who learns what is bought today shows what is promoted, so that
promoting pays, so that everybody promotes, and the customers leave. Who learns for the long run shows what is promoted
less, and then a seller who promotes loses (``simulation.exploit`` measures both). *The truth:* ``quality``, ``taste``,
``satisfaction``.

Every row may have sellers of its own (:meth:`Market.act` with (B, S) modes), so that many profiles of sellers are tried at
once: customers do not touch each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from longgame.errors import ConfigError, ShapeError
from longgame.protocols import Outcome
from longgame.rng import derive
from longgame.simulation.draws import standard
from longgame.types import F32, F64, I64, Bool, Item, ItemId, Objective

MODES = ("plain", "promoted", "cut", "promoted and cut", "away")
"""What a seller can do, a number each; the last one shows nothing."""
PLAIN, AWAY = 0, 4
TOPICS = ("garden", "kitchen", "music", "travel")
PRICE = 10.0
"""What a unit of satisfaction is worth to :meth:`Market.wise`: the best on other seeds, see ``docs/worlds.md``."""


@dataclass(frozen=True)
class MarketConfig:
    """How big the market is and how its two sides behave."""

    users: int = 500
    sellers: int = 12
    """S; all are offered who are not away."""
    taste: float = 0.7
    """Spread of a customer's liking between topics, in log-odds of a purchase."""
    pull: float = 1.2
    """Log-odds of a purchase that promotion adds."""
    letdown: float = 0.5
    """What promotion takes from what is felt after a purchase, in [0, 1]."""
    dear: float = 3.0
    """Log-odds of a purchase that a unit of price takes."""
    margin: float = 0.3
    """Price less cost, above 0."""
    rebate: float = 0.1
    """What a cut takes from the price, in [0, margin]."""
    fee: float = 0.01
    """What a look at what is promoted costs its seller, 0 or more."""
    memory: float = 0.3
    """Share of the way that satisfaction moves with a purchase, in [0, 1]."""
    visit: tuple[float, float] = (0.1, 0.9)
    """Chance of a visit a day with satisfaction 0, and with 1."""
    leave: float = 0.2
    """Chance that a visit is the last of a customer with satisfaction 0; none at 1."""
    restless: float = 1.0
    """Chance that a seller takes up any mode but away from one day to the next, until :meth:`Market.act` says what they do."""
    twins: int = 1
    """Rows are so many groups of the same customers with the same luck, a divisor of ``users``: what differs between groups is
    what is done to them, and differences are told apart from few customers."""
    seed: int = 0
    """Of the sellers, not of the population."""

    def __post_init__(self) -> None:
        if self.users < 1 or self.sellers < 1 or not self.margin > 0 or not 0 <= self.rebate <= self.margin or self.fee < 0:
            raise ConfigError(
                "MarketConfig: users and sellers must be 1 or more, margin above 0, rebate between 0 and margin and fee not "
                f"below 0, got {self}"
            )
        if self.twins < 1 or self.users % self.twins:
            raise ConfigError(f"MarketConfig.twins: must be a divisor of users, got {self.twins} of {self.users}")
        shares = (self.letdown, self.memory, self.leave, self.restless)
        if not all(0 <= share <= 1 for share in shares) or not 0 <= self.visit[0] <= self.visit[1] <= 1:
            raise ConfigError(
                f"MarketConfig: letdown, memory, leave and restless must lie in [0, 1], visit be two rising chances, got {self}"
            )


class Market:
    """The world: :class:`longgame.protocols.World` on arrays over B customers and S sellers."""

    def __init__(self, config: MarketConfig | None = None) -> None:
        self.config = c = config or MarketConfig()
        rng = derive(c.seed, "market", "sellers")
        self.topic: I64 = rng.permutation(np.arange(c.sellers) % len(TOPICS))
        self.quality: F64 = rng.permutation((np.arange(c.sellers) + 0.5) / c.sellers)
        self.cost: F64 = 0.4 + 0.2 * self.quality + rng.normal(0.0, 0.05, c.sellers)
        self._all: I64 = np.arange(c.sellers) * AWAY
        self.reset(derive(c.seed, "market", "population"))

    @property
    def users(self) -> int:
        return self.config.users

    @property
    def objective(self) -> Objective:
        """Purchases, however late in the month they come: 2 % less a day."""
        return Objective({"purchase": 1.0}, window=timedelta(hours=12), discount=0.98)

    def price(self, positions: I64) -> F64:
        """What things in the modes of these catalogue positions cost; any shape."""
        seller, mode = np.divmod(positions, AWAY)
        out: F64 = self.cost[seller] + self.config.margin - self.config.rebate * _cut(mode)
        return out

    def catalogue(self) -> Sequence[Item]:
        """Every seller's thing in every mode but away: position 4 s + mode."""
        made = []
        for place, price in enumerate(self.price(np.arange(AWAY * self.config.sellers)).tolist()):
            seller, mode = divmod(place, AWAY)
            topic, told = TOPICS[self.topic[seller]], ("", "Promoted! ", "Reduced: ", "Promoted and reduced! ")[mode]
            text = f"{told}{topic}, of seller {seller}, {price:.2f}."
            attributes = {"topic": topic, "seller": f"seller-{seller:02d}", "promoted": bool(mode % 2), "price": price}
            made.append(Item(ItemId(f"thing-{seller:02d}-{MODES[mode].replace(' ', '-')}"), text, attributes))
        return made

    @property
    def vectors(self) -> F32:
        """(4 S, S + 4 + 2) whose it is, its topic, whether it is promoted and its price, as standard scores."""
        seller, mode = np.divmod(np.arange(AWAY * self.config.sellers), AWAY)
        one, topic = np.eye(self.config.sellers)[seller], np.eye(len(TOPICS))[self.topic[seller]]
        plain = np.stack([_promoted(mode), self.price(np.arange(len(mode)))], axis=1)
        return standard(np.concatenate([one, topic, plain], axis=1))

    def reset(self, rng: np.random.Generator) -> None:
        b = self.config.users
        self._rng = rng
        self.taste: F64 = np.empty((b, len(TOPICS)))
        self.satisfaction: F64 = np.empty(b)
        self.gone: Bool = np.empty(b, np.bool_)
        self._away: F64 = np.empty(b)
        self._here: Bool = np.empty(b, np.bool_)
        self.earned: F64 = np.zeros((b, self.config.sellers))
        """(B, S) what each seller has earned with each customer since the beginning: nobody else is told"""
        self.renew(np.ones(b, np.bool_))
        self._told = False
        self.modes: I64 = np.zeros((b, self.config.sellers), np.int64)
        """(B, S) what each seller does, in each customer's market"""
        self._wander(1.0)

    def act(self, modes: I64) -> None:
        """What sellers do from now on: (S,) numbers of :data:`MODES`, or (B, S) for a market to each row.

        Raises ShapeError for other shapes and for what is no mode.
        """
        if modes.shape not in ((self.config.sellers,), self.modes.shape) or modes.min() < 0 or modes.max() > AWAY:
            raise ShapeError(
                f"Market.act: modes must be numbers from 0 to {AWAY} of shape {(self.config.sellers,)} or {self.modes.shape}, "
                f"got {modes.min()} to {modes.max()} of shape {modes.shape}"
            )
        self._told = True
        self.modes = np.broadcast_to(modes, self.modes.shape).astype(np.int64)

    def renew(self, who: Bool) -> None:
        rows = np.flatnonzero(who)
        single, twins = self.users // self.config.twins, self.config.twins
        self.taste[rows] = np.tile(self._rng.normal(0.0, self.config.taste, (single, len(TOPICS))), (twins, 1))[rows]
        self.satisfaction[rows] = 0.4 + 0.3 * self._luck()[rows]
        self.gone[rows], self._away[rows] = False, 0.0
        self._here[rows] = self._arrivals()[rows]

    def here(self) -> Bool:
        return self._here

    def context(self) -> F32:
        """(B, 1) log of 1 + days since the last visit: what any shop knows of a customer who comes in."""
        return np.log1p(self._away)[:, None].astype(np.float32)

    def offered(self) -> I64:
        return np.where(self.modes == AWAY, -1, self._all + self.modes)

    def weights(self, slates: I64) -> F64:
        """(B, K) -> (B, K) how much each thing of a slate is wanted, buying nothing being 1; 0 in an empty slot."""
        seller, mode = np.divmod(slates, AWAY)
        like = self.taste[np.arange(len(slates))[:, None], self.topic[seller]]
        out: F64 = np.exp(like + self.config.pull * _promoted(mode) - self.config.dear * (self.price(slates) - 0.6) - 1.0)
        return np.where(slates >= 0, out, 0.0)

    def chances(self, slates: I64) -> F64:
        """(B, K) -> (B, K) chance that each thing of a slate is bought."""
        weight = self.weights(slates)
        out: F64 = weight / (1.0 + weight.sum(axis=1, keepdims=True))
        return out

    def worth(self, positions: I64) -> F64:
        """What satisfaction moves towards, in [0, 1]; any shape."""
        seller, mode = np.divmod(positions, AWAY)
        out: F64 = np.clip(self.quality[seller] - self.config.letdown * _promoted(mode), 0.0, 1.0)
        return out

    def felt(self, slates: I64) -> F64:
        """(B, K) how far each thing, if it is bought, moves satisfaction as it is now."""
        out: F64 = self.config.memory * (self.worth(slates) - self.satisfaction[:, None])
        return np.where(slates >= 0, out, 0.0)

    def wise(self, price: float = PRICE) -> F64:
        """(B, C) scores of what is offered by one who knows the truth: a purchase today and what is felt, at ``price``.

        By chance alone of a slate: a thing scores what it brings if nothing else stood beside it. 0 is myopic, and ``price`` is
        that of a policy which looks ahead by one number: a yardstick, no upper bound.
        """
        offered = self.offered()
        weight = self.weights(offered)
        out: F64 = weight / (1.0 + weight) * (1.0 + price * self.felt(offered))
        return out

    def step(self, slates: I64) -> Outcome:
        """Those who are here see their slates and buy. Then a day passes for both sides."""
        c, here = self.config, self._here
        chance = np.cumsum(self.chances(slates), axis=1)
        bought = (self._luck()[:, None] >= chance).sum(axis=1)
        rows = np.flatnonzero(here & (bought < slates.shape[1]))
        values = np.full(slates.shape, np.nan, np.float32)
        values[rows, bought[rows]] = 1.0
        self._pay(slates, rows, bought[rows])
        item = slates[rows, bought[rows]]
        self.satisfaction[rows] += c.memory * (self.worth(item) - self.satisfaction[rows])
        left: Bool = here & (self._luck() < c.leave * (1 - self.satisfaction) ** 2)
        self.gone |= left
        self._away = np.where(here, 1.0, self._away + 1.0)
        self._here = self._arrivals()
        if not self._told:
            self._wander(c.restless)
        return Outcome({"purchase": values}, left)

    def _pay(self, slates: I64, rows: I64, slot: I64) -> None:
        """``rows`` bought what is in ``slot``; everybody who is here looked at their slate."""
        item = slates[rows, slot]
        self.earned[rows, item // AWAY] += self.price(item) - self.cost[item // AWAY]
        row, column = np.nonzero(self._here[:, None] & (slates >= 0))
        seen = slates[row, column]
        np.subtract.at(self.earned, (row, seen // AWAY), self.config.fee * _promoted(seen % AWAY))

    def _wander(self, share: float) -> None:
        """A share of the sellers takes up any mode but away, the same for all customers."""
        change = self._rng.random(self.config.sellers) < share
        fresh = self._rng.integers(AWAY, size=self.config.sellers)
        self.modes = np.where(change, fresh, self.modes)

    def _luck(self) -> F64:
        """(B,) uniform in [0, 1); twins have the same."""
        return np.tile(self._rng.random(self.users // self.config.twins), self.config.twins)

    def _arrivals(self) -> Bool:
        low, high = self.config.visit
        arrived: Bool = (self._luck() < low + (high - low) * self.satisfaction) & ~self.gone
        return arrived


def _promoted(mode: I64) -> F64:
    out: F64 = ((mode == 1) | (mode == 3)).astype(np.float64)
    return out


def _cut(mode: I64) -> F64:
    out: F64 = ((mode == 2) | (mode == 3)).astype(np.float64)
    return out
