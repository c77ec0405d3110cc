"""A shop whose customers remember. Its texts tell what an item is; its clicks do not tell what it does.

Each item has a category, a price, a *quality* and a *hype*, and a text whose words reveal all four. Hype sells
today: it raises clicks and purchases. Quality is felt afterwards: what a customer buys moves their satisfaction,
and a satisfied customer comes back sooner and leaves later. The catalogue is made so that hype and quality mostly
exclude each other. A policy that learns what is bought now shows hype and loses its customers; the best one for
the year shows what the customer likes, in good quality. Satiation: what a customer saw bought of a category makes
the category less interesting for days. A customer has a budget a month; what is dearer than its rest stays in the cart.

What is clicked may be put in the cart, what is in it bought, what is bought rated and sent back: events of the log and
of any ``Objective`` that names them; the world's own counts purchases.

With ``looks`` above 0 items have pictures (``simulation.pictures``), and picture and text tell a part each: the text what a
thing is and how it is sold, the picture its colour, which customers have a liking for, and how well it is made.

The truth is known: :meth:`Shop.chances` are the probabilities the events are drawn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from longgame.errors import ConfigError
from longgame.language.hashing import HashingModel
from longgame.protocols import Outcome
from longgame.rng import derive
from longgame.simulation.draws import seen, sigmoid, third
from longgame.types import F32, F64, I64, Bool, Item, ItemId, Objective

CATEGORIES = {
    "lighting": ("desk lamp", "lantern", "ceiling light", "reading lamp"),
    "kitchen": ("frying pan", "kettle", "bread knife", "mixing bowl"),
    "garden": ("watering can", "pruning shears", "bird feeder", "plant pot"),
    "sport": ("yoga mat", "running belt", "jump rope", "dumbbell"),
    "travel": ("backpack", "suitcase", "travel pillow", "money belt"),
    "audio": ("headphones", "speaker", "microphone", "turntable"),
    "toys": ("puzzle", "wooden train", "kite", "board game"),
    "office": ("notebook", "fountain pen", "desk organiser", "chair cushion"),
}
QUALITY = (
    ("flimsy plastic, feels single-use", "thin material that breaks soon", "poorly made, often returned"),
    ("decent make for everyday use", "average build, does its job", "ordinary materials"),
    (
        "solid and repairable, ten-year warranty",
        "hand-finished, made to last for decades",
        "superb materials, customers keep it for life",
    ),
)
HYPE = (
    ("A quiet classic", "No advertising, simply useful", "A plain and honest"),
    ("A popular", "A well-known", "A seasonal"),
    (
        "VIRAL must-have! The craziest deal of the year on this",
        "Everyone wants it NOW! Last chance for this",
        "As seen everywhere! Unbelievable 70% off this",
    ),
)
COLOURS = {
    "red": (196, 48, 44),
    "orange": (226, 132, 38),
    "green": (66, 142, 72),
    "blue": (52, 98, 184),
    "violet": (128, 72, 158),
    "grey": (118, 122, 128),
}
PRICE = 7.0
"""Purchases that a unit of satisfaction is worth to :meth:`Shop.wise`: the best on other seeds, see ``docs/worlds.md``."""
MONTH = 30
"""Days of a budget."""


@dataclass(frozen=True)
class ShopConfig:
    """How big the shop is and how its customers behave."""

    users: int = 500
    items: int = 200
    taste: float = 1.2
    """Spread of a customer's liking between categories, in log-odds of a click."""
    pull: float = 1.6
    """Log-odds of a click that full hype adds."""
    push: float = 1.0
    """Log-odds of a purchase after a click that full hype adds."""
    memory: float = 0.35
    """Share of the way satisfaction moves towards the quality of what was bought, per purchase."""
    glimpse: float = 0.10
    """The same for what was clicked and not bought: a page that promised more than it held is remembered too."""
    satiation: float = 1.5
    """Log-odds of a click a purchase takes from its category, halving every three days."""
    visit: tuple[float, float] = (0.04, 0.9)
    """Chance of a visit a day of a customer with satisfaction 0 and of one with satisfaction 1."""
    leave: float = 0.2
    """Chance of leaving for good after a visit of a customer with satisfaction 0; none at 1."""
    budget: float = 400.0
    """Mean of what a customer can spend in 30 days; each has their own, gamma distributed. ``inf``: no limit."""
    doubt: float = 0.2
    """Chance that what was clicked and is not wanted today is put in the cart all the same."""
    rates: float = 0.3
    """Chance that what was bought is rated, with 1 to 5 stars."""
    regret: float = 0.5
    """Chance that what was bought goes back if its quality is 0; none at 1. The money comes back with it."""
    looks: float = 0.0
    """Spread of a customer's liking between colours, in log-odds of a click; above 0 items have pictures, which alone tell
    the colour and the quality."""
    seed: int = 0
    """Of the catalogue, not of the population."""

    def __post_init__(self) -> None:
        if self.users < 1 or self.items < 1 or not 0 <= self.glimpse <= self.memory <= 1:
            raise ConfigError(f"ShopConfig: users and items must be 1 or more and 0 <= glimpse <= memory <= 1, got {self}")
        if not self.looks >= 0:
            raise ConfigError(f"ShopConfig.looks: must be 0 or more, got {self.looks}")
        if not 0 <= self.visit[0] <= self.visit[1] <= 1 or not 0 <= self.leave <= 1:
            raise ConfigError(f"ShopConfig: visit must be two rising chances and leave a chance, got {self}")
        if not self.budget > 0:
            raise ConfigError(f"ShopConfig.budget: must be above 0, got {self.budget}; inf means no limit")
        for name in ("doubt", "rates", "regret"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"ShopConfig.{name}: must be a chance, got {getattr(self, name)}")


class Shop:
    """The world: :class:`longgame.protocols.World` on arrays over B customers."""

    def __init__(self, config: ShopConfig | None = None) -> None:
        self.config = config or ShopConfig()
        rng = derive(self.config.seed, "shop", "catalogue")
        n, names = self.config.items, list(CATEGORIES)
        self.category: I64 = rng.integers(len(names), size=n)
        self.hype: F64 = rng.beta(0.8, 0.8, n)
        self.quality: F64 = np.clip(0.5 + 0.7 * (0.5 - self.hype) + 0.22 * rng.standard_normal(n), 0.0, 1.0)
        self.price: F64 = np.exp(rng.normal(3.0, 0.5, n)).round(2)
        self.colour: I64 = derive(self.config.seed, "shop", "colours").integers(len(COLOURS), size=n)
        self._items = [self._describe(i, names[c], rng) for i, c in enumerate(self.category.tolist())]
        self.reset(derive(self.config.seed, "shop", "population"))

    def _describe(self, number: int, category: str, rng: np.random.Generator) -> Item:
        noun = CATEGORIES[category][rng.integers(len(CATEGORIES[category]))]
        sold, made = third(HYPE, self.hype[number], rng), third(QUALITY, self.quality[number], rng)
        what = f"{sold} {noun} for {category}"
        id = ItemId(f"shop-{number:04d}")
        text, media = (f"{what}.", {"image": f"{id}.jpg"}) if self.config.looks else (f"{what}, {made}.", {})
        return Item(id, text, {"category": category, "price": float(self.price[number])}, media)

    @property
    def users(self) -> int:
        return self.config.users

    @property
    def objective(self) -> Objective:
        """A purchase is worth 1, however late in the month it comes: 5 % less a day. What goes back is not taken off."""
        return Objective({"purchase": 1.0}, window=timedelta(hours=12), discount=0.95)

    def catalogue(self) -> Sequence[Item]:
        return self._items

    @property
    def vectors(self) -> F32:
        """(I, 64) the words of its text, hashed, and of its price the logarithm: what needs no language model."""
        words = HashingModel(63).embed([item.text for item in self._items])
        return np.concatenate([words, (np.log(self.price)[:, None] - 3.0).astype(np.float32)], axis=1)

    def reset(self, rng: np.random.Generator) -> None:
        b, groups = self.config.users, len(CATEGORIES)
        # What happens after a click has draws of its own: clicks and what is wanted do not move with them.
        self._rng, self._after = rng, rng.spawn(1)[0]
        self.taste: F64 = rng.normal(0.0, self.config.taste, (b, groups))
        self.thrift: F64 = rng.gamma(4.0, 0.1, b)
        self.satisfaction: F64 = rng.uniform(0.4, 0.7, b)
        self.tired: F64 = np.zeros((b, groups))
        self.gone: Bool = np.zeros(b, np.bool_)
        self._away: F64 = np.zeros(b)
        # The last draw, and only where there are looks: a shop without is the same to the last customer.
        spread = self.config.looks
        self.liking: F64 = rng.normal(0.0, spread, (b, len(COLOURS))) if spread else np.zeros((b, len(COLOURS)))
        self.budget: F64 = np.zeros(b)
        self.purse: F64 = np.zeros(b)
        self._payday: I64 = np.zeros(b, np.int64)
        self._pay(np.arange(b))
        self._here = self._arrivals()

    def renew(self, who: Bool) -> None:
        c, rows = self.config, np.flatnonzero(who)
        self.taste[rows] = self._rng.normal(0.0, c.taste, (len(rows), len(CATEGORIES)))
        self.thrift[rows] = self._rng.gamma(4.0, 0.1, len(rows))
        self.satisfaction[rows] = self._rng.uniform(0.4, 0.7, len(rows))
        self.tired[rows], self.gone[rows], self._away[rows] = 0.0, False, 0.0
        self._pay(rows)
        self._here[rows] = self._arrivals()[rows]

    def here(self) -> Bool:
        return self._here

    def context(self) -> F32:
        """(B, 1) log of 1 + days since the last visit: what any shop knows of a customer who comes in."""
        return np.log1p(self._away)[:, None].astype(np.float32)

    def offered(self) -> I64:
        """(B, I): all of it, always."""
        return np.broadcast_to(np.arange(self.config.items), (self.users, self.config.items))

    def chances(self, slates: I64, alone: bool = False) -> tuple[F64, F64]:
        """(B, K) -> chance of a click and of a purchase after it, (B, K) each; 0 in an empty slot.

        ``alone``: of each item as if it stood in the first slot. What is dearer than the rest of the month's budget is not
        bought; that rest is of the visit's beginning, so that what is bought of a slate may come to more, and is owed.
        """
        click, want = self._wants(slates, alone)
        return click, np.where(self._affords(slates), want, 0.0)

    def _affords(self, slates: I64) -> Bool:
        """(B, K)"""
        within: Bool = self.price[slates] <= self.purse[:, None]
        return within

    def _wants(self, slates: I64, alone: bool) -> tuple[F64, F64]:
        """:meth:`chances` of who need not count the money."""
        c, rows = self.config, np.arange(len(slates))[:, None]
        group, hype = self.category[slates], self.hype[slates]
        dear = self.thrift[:, None] * (np.log(self.price[slates]) - 3.0)
        liked = self.taste[rows, group] + self.liking[rows, self.colour[slates]]
        like = liked - c.satiation * self.tired[rows, group] - dear
        click = sigmoid(-2.4 + like + c.pull * hype + seen(slates.shape[1], alone))
        buy = sigmoid(-0.8 + 0.3 * like + c.push * hype + 0.4 * self.quality[slates])
        return np.where(slates >= 0, click, 0.0), np.where(slates >= 0, buy, 0.0)

    def gain(self, slates: I64, alone: bool = False) -> F64:
        """(B, K) purchases that each item of a slate is expected to bring today; ``alone`` as :meth:`chances` has it."""
        click, buy = self.chances(slates, alone)
        return click * buy

    def felt(self, slates: I64, alone: bool = False) -> F64:
        """(B, K) how far each item of a slate is expected to move the satisfaction as it is now; 0 in an empty slot."""
        click, buy = self.chances(slates, alone)
        pace = click * (self.config.glimpse + (self.config.memory - self.config.glimpse) * buy)
        out: F64 = pace * (self.quality[slates] - self.satisfaction[:, None])
        return out

    def wise(self, price: float = PRICE) -> F64:
        """(B, I) scores by one who knows the truth: purchases today and what is felt, at ``price`` purchases.

        The best ``price`` is that of a policy which looks ahead by one number: a yardstick, no upper bound. 0 is myopic.
        """
        return self.gain(self.offered(), alone=True) + price * self.felt(self.offered(), alone=True)

    def step(self, slates: I64) -> Outcome:
        """What those who are here do; the slates of the others are not looked at. Then a day passes."""
        c, here = self.config, self._here
        click, want = self._wants(slates, alone=False)
        clicked = (self._rng.random(slates.shape) < click) & here[:, None]
        wanted = (self._rng.random(slates.shape) < want) & clicked
        bought = wanted & self._affords(slates)
        self._feel(slates, clicked, bought)
        values = {"click": np.where(clicked, 1.0, np.nan), **self._bought(slates, clicked, wanted, bought)}
        left: Bool = here & (self._rng.random(len(here)) < c.leave * (1 - self.satisfaction) ** 2)
        self.gone |= left
        self._away = np.where(here, 1.0, self._away + 1.0)
        self.tired *= 0.5 ** (1 / 3)
        self._here = self._arrivals()
        return Outcome(values, left)

    def _bought(self, slates: I64, clicked: Bool, wanted: Bool, bought: Bool) -> dict[str, F64]:
        """What follows a click, each (B, K) by its kind; the money moves, and a month's new money comes on its day."""
        c, price, quality = self.config, self.price[slates], self.quality[slates]
        doubt, rates, regret = self._after.random((3, *slates.shape))
        noise = 0.6 * self._after.standard_normal(slates.shape)
        cart = wanted | (clicked & (doubt < c.doubt))
        rated, back = bought & (rates < c.rates), bought & (regret < c.regret * (1 - quality) ** 2)
        stars = np.clip(np.rint(1.0 + 4.0 * quality + noise), 1.0, 5.0)
        self.purse -= np.where(bought & ~back, price, 0.0).sum(axis=1)
        self._payday -= 1
        paid = self._payday == 0
        self.purse[paid] = np.minimum(self.purse + self.budget, self.budget)[paid]
        self._payday[paid] = MONTH
        return {
            "cart": np.where(cart, price, np.nan),
            "purchase": np.where(bought, price, np.nan),
            "rating": np.where(rated, stars, np.nan),
            "return": np.where(back, price, np.nan),
        }

    def _pay(self, rows: I64) -> None:
        """Budgets of new customers, who come at any day of their month with all of it."""
        mean = self.config.budget
        drawn = self._after.gamma(4.0, 0.25, len(rows))  # inf times a draw is inf: no limit
        self.budget[rows] = self.purse[rows] = mean * drawn
        self._payday[rows] = self._after.integers(1, MONTH + 1, len(rows))

    def _feel(self, slates: I64, clicked: Bool, bought: Bool) -> None:
        for slot in range(slates.shape[1]):  # one after the other: satisfaction moves with each
            who = np.flatnonzero(clicked[:, slot])
            item, kept = slates[who, slot], bought[who, slot]
            pace = np.where(kept, self.config.memory, self.config.glimpse)
            self.satisfaction[who] += pace * (self.quality[item] - self.satisfaction[who])
            self.tired[who, self.category[item]] += kept

    def _arrivals(self) -> Bool:
        low, high = self.config.visit
        chance = low + (high - low) * self.satisfaction**2
        arrived: Bool = (self._rng.random(self.users) < chance) & ~self.gone
        return arrived
