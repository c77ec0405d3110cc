"""Interest evolution: a session of videos, in which what is watched changes what is liked, and how long there is to watch.

The world of Ie et al., "SlateQ: A Tractable Decomposition for Reinforcement Learning with Recommendation Sets" (IJCAI 2019,
section 6), with the dynamics of RecSim 0.2.4 (``environments/interest_evolution.py``, the utility model):

- 20 topics; a video has one, is 4 minutes long and has a quality, normal with deviation .1 round its topic's: from -3 to 0
  over the first 14 topics, from 0 to 3 over the last 6. Nobody is told the quality.
- A user has an interest in each topic, uniform in [-1, 1] at first, which is told, and 200 minutes, which are not.
- From a slate one video is chosen, or none: in proportion to 1 + interest, and 2 for none.
- Nothing watched costs half a minute. A video costs its length less .9 / 3.4 of its length per unit of quality: good ones
  leave time for more. Then the interest in its topic moves by .3 (1 - |interest|) (1 - interest), up with chance
  (1 + interest) / 2, else down. When the time is used up the user leaves.

The reward is minutes watched, without a discount. Who shows what is liked now (164 at 10 candidates and 2 slots) is hardly
better than chance (154); who shows quality gets nearly 300.

One deviation: RecSim makes new videos for each slate; here they are drawn from a catalogue that holds ``items`` videos, all
topics alike often, so that a log can name them. Each user gets distinct ones, each of them uniform over the catalogue.
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

TOPICS = 20
TRASH = 14
"""Topics whose quality is not above 0."""
LENGTH, MINUTES, WAIT = 4.0, 200.0, 0.5
"""Minutes: of a video, of a user, and what a slate costs of which nothing is watched."""
NOTHING = 2.0
"""What speaks for choosing none, beside 1 + interest for each video."""
STRETCH = 0.9 / 3.4
"""Share of a video's length that a unit of quality gives back."""


@dataclass(frozen=True)
class InterestEvolutionConfig:
    """How many there are of what."""

    users: int = 256
    candidates: int = 10
    """Videos of which a slate can be made, each time others."""
    items: int = 2003
    """Videos in the catalogue, at least as many as ``candidates``."""
    seed: int = 0
    """Of the catalogue, not of the population."""

    def __post_init__(self) -> None:
        if self.users < 1 or not 1 <= self.candidates <= self.items:
            raise ConfigError(
                f"InterestEvolutionConfig: users must be 1 or more and candidates between 1 and items, got {self}"
            )


class InterestEvolution:
    """The world: :class:`longgame.protocols.World` on arrays over B users."""

    def __init__(self, config: InterestEvolutionConfig | None = None) -> None:
        self.config = config or InterestEvolutionConfig()
        rng = derive(self.config.seed, "interest evolution", "catalogue")
        mean = np.concatenate([np.linspace(-3.0, 0.0, TRASH), np.linspace(0.0, 3.0, TOPICS - TRASH)])
        self.topic: I64 = rng.permutation(np.arange(self.config.items) % TOPICS)
        self.quality: F64 = rng.normal(mean[self.topic], 0.1)
        self._vectors = np.eye(TOPICS, dtype=np.float32)[self.topic]
        self.reset(derive(self.config.seed, "interest evolution", "population"))

    @property
    def users(self) -> int:
        return self.config.users

    @property
    def objective(self) -> Objective:
        """Every minute watched in the session counts, nearly alike: a step is a day, and a day later is half a percent less."""
        return Objective({"watch": 1.0}, by_value=frozenset({"watch"}), window=timedelta(hours=12), discount=0.995)

    def catalogue(self) -> Sequence[Item]:
        return [
            Item(ItemId(f"video-{i:05d}"), f"A video of topic {t}.", {"topic": str(t)})
            for i, t in enumerate(self.topic.tolist())
        ]

    @property
    def vectors(self) -> F32:
        """(I, 20) its topic."""
        return self._vectors

    def reset(self, rng: np.random.Generator) -> None:
        b = self.config.users
        self._rng = rng
        self.interest: F64 = np.empty((b, TOPICS))
        self.minutes: F64 = np.empty(b)
        self.renew(np.ones(b, np.bool_))
        self._offered = spread(rng, b, self.config.candidates, self.config.items)

    def renew(self, who: Bool) -> None:
        rows = np.flatnonzero(who)
        self.interest[rows] = self._rng.uniform(-1.0, 1.0, (len(rows), TOPICS))
        self.minutes[rows] = MINUTES

    def here(self) -> Bool:
        here: Bool = self.minutes > 0
        return here

    def context(self) -> F32:
        """(B, 20) the interests: RecSim tells them."""
        return self.interest.astype(np.float32)

    def offered(self) -> I64:
        return self._offered

    def chances(self, slates: I64) -> F64:
        """(B, K) -> (B, K) chance that a video of the slate is the one that is watched."""
        rows = np.arange(len(slates))[:, None]
        weight = np.where(slates >= 0, 1.0 + self.interest[rows, self.topic[slates]], 0.0)
        out: F64 = weight / (weight.sum(axis=1, keepdims=True) + NOTHING)
        return out

    def step(self, slates: I64) -> Outcome:
        here = self.here()
        rows, column = self._choose(slates, here)
        item = slates[rows, column]
        watched = np.minimum(self.minutes[rows], LENGTH)
        values = np.full(slates.shape, np.nan, np.float32)
        values[rows, column] = watched
        idle = here.copy()
        idle[rows] = False
        self.minutes[idle] -= WAIT
        self.minutes[rows] -= watched * (1.0 - STRETCH * self.quality[item])
        self._grow(rows, self.topic[item])
        self._offered = spread(self._rng, self.users, self.config.candidates, self.config.items)
        left: Bool = here & (self.minutes <= 0)
        return Outcome({"watch": values}, left)

    def _choose(self, slates: I64, here: Bool) -> tuple[I64, I64]:
        """Who watches something, and which slot."""
        passed = self._rng.random(len(slates))[:, None] - np.cumsum(self.chances(slates), axis=1)
        column = (passed >= 0).sum(axis=1)
        rows = np.flatnonzero(here & (column < slates.shape[1]))
        return rows, column[rows]

    def _grow(self, rows: I64, topic: I64) -> None:
        """The interest in what was watched, up or down."""
        was = self.interest[rows, topic]
        step = 0.3 * (1.0 - np.abs(was)) * (1.0 - was)
        up = self._rng.random(len(rows)) < (1.0 + was) / 2
        self.interest[rows, topic] = np.clip(np.where(up, was + step, was - step), -1.0, 1.0)

    def costs(self) -> F64:
        """(B, C) minutes of the user's time that watching each offered video takes. Nobody is told."""
        out: F64 = LENGTH * (1.0 - STRETCH * self.quality[self._offered])
        return out
