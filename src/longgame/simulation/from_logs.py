"""A world learned from a log: its users are those of the log, and do what they were seen to do (``behaviour``).

    world = FromLogs(learned(told(Path("ml-100k"))), FromLogsConfig(users=500))

A slate is a queue that is looked at in its order. Each thing looked at is liked or not, by the chance that one of the raters
has for this user: which one is drawn with the user and stays theirs, so that a policy meets all that the log leaves open. After
each thing the session may end; where it does not, the user asks for the next slate in the next step. Who ended a session comes
back on one of the next days, each a step, or after ``patience`` days not at all. Each user is offered everything once, in an
order of their own, before anything comes again.

The reward is a like, less ``penalty`` times what is not known of it: the deviation between the raters (event ``doubt``). With
a penalty a policy is kept where the log knows what it says.

Where a log has no times nothing is known of ends and returns: then the whole queue is looked at, and users come on each of
``visits`` days. That is an assumption, and no finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from longgame.errors import ConfigError
from longgame.protocols import Outcome
from longgame.rng import derive
from longgame.simulation.behaviour import Habits, Trail
from longgame.simulation.logged import Lived
from longgame.types import F32, F64, I64, Bool, Item, Objective


@dataclass(frozen=True)
class FromLogsConfig:
    """How many live there, and how what is not known counts."""

    users: int = 500
    candidates: int = 20
    """Items of which a queue can be made, each day others."""
    penalty: float = 0.0
    """Likes that a deviation of 1 between the raters costs, 0 or more."""
    visits: int = 20
    """Where the log has no times: days on which a user comes, one after the other."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.users, self.candidates, self.visits) < 1 or not self.penalty >= 0:
            raise ConfigError(
                f"FromLogsConfig: users, candidates and visits must be 1 or more and penalty not below 0, got {self}"
            )


class FromLogs:
    """The world: :class:`longgame.protocols.World` on arrays over B users."""

    def __init__(self, lived: Lived, config: FromLogsConfig | None = None) -> None:
        self.config, self.lived = config or FromLogsConfig(), lived
        self._responses, self._habits = lived.behaviour.responses, lived.behaviour.habits
        if self.config.candidates > len(lived.told.items):
            raise ConfigError(
                f"FromLogsConfig.candidates: must be at most the {len(lived.told.items)} items of {lived.told.name}, "
                f"got {self.config.candidates}"
            )
        self.reset(derive(self.config.seed, "from logs", "population"))

    @property
    def users(self) -> int:
        return self.config.users

    @property
    def objective(self) -> Objective:
        """Likes less doubts, however late in the month they come: 2 % less a step."""
        rewards = {"like": 1.0} | ({"doubt": -self.config.penalty} if self.config.penalty else {})
        return Objective(rewards, by_value=frozenset({"doubt"}), window=timedelta(hours=12), discount=0.98)

    def catalogue(self) -> Sequence[Item]:
        return self.lived.told.items

    @property
    def vectors(self) -> F32:
        return self.lived.vectors

    def reset(self, rng: np.random.Generator) -> None:
        b, items = self.config.users, len(self.lived.told.items)
        self._rng = rng
        self._trail = Trail(b, self.lived.vectors)
        self.person: I64 = np.zeros(b, np.int64)
        """(B,) numbers among ``Responses.people``"""
        self.rater: I64 = np.zeros(b, np.int64)
        self._order: I64 = np.zeros((b, items), np.int64)
        self._next, self._days, self._away, self._back, self._number = np.zeros((5, b), np.int64)
        self._length, self._liked = np.zeros((2, b))
        self._here: Bool = np.ones(b, np.bool_)
        self.gone: Bool = np.zeros(b, np.bool_)
        self._on: Bool = np.zeros(b, np.bool_)  # in the middle of a session
        self.renew(np.ones(b, np.bool_))

    def renew(self, who: Bool) -> None:
        rows = np.flatnonzero(who)
        raters, people, items = self._responses.rating.shape
        self.person[rows] = self._rng.integers(people, size=len(rows))
        self.rater[rows] = self._rng.integers(raters, size=len(rows))
        self._order[rows] = self._rng.permuted(np.tile(np.arange(items), (len(rows), 1)), axis=1)
        for column in (self._next, self._days, self._away, self._back, self._number, self._length, self._liked):
            column[rows] = 0
        self._here[rows], self.gone[rows], self._on[rows] = True, False, False
        self._trail.forget(rows)

    def here(self) -> Bool:
        return self._here

    def context(self) -> F32:
        """(B, 1 + F) log of 1 + days since the last session, and what is known of the user without a log."""
        known = self.lived.told.people[self._responses.people[self.person]]
        return np.concatenate([np.log1p(self._away)[:, None], known], axis=1).astype(np.float32)

    def offered(self) -> I64:
        columns = (self._next[:, None] + np.arange(self.config.candidates)) % self._order.shape[1]
        return np.take_along_axis(self._order, columns, axis=1)

    def chances(self, slates: I64) -> F64:
        """(B, K) -> (B, K) chance that each would be liked if it were looked at now, 0 in an empty slot. Nobody is told."""
        return np.where(slates >= 0, self._every(np.arange(len(slates)), slates)[self.rater, np.arange(len(slates))], 0.0)

    def doubts(self, slates: I64) -> F64:
        """(B, K) -> (B, K) deviation between the raters of that chance, 0 in an empty slot."""
        return np.where(slates >= 0, self._every(np.arange(len(slates)), slates).std(axis=0), 0.0)

    def _rated(self, rows: I64, items: I64) -> F64:
        """(n,) users, (n, C) items -> (M, n, C) as each rater foretells them."""
        person = self.person[rows]
        return self._responses.rating[:, person[:, None], np.maximum(items, 0)].astype(np.float64)

    def _every(self, rows: I64, items: I64) -> F64:
        """(n,) users, (n, C) items -> (M, n, C) the chances by each rater."""
        near = self._trail.near(rows, items)
        return self._responses.chances(self._rated(rows, items), near, self._trail.mood[rows])

    def step(self, slates: I64) -> Outcome:
        """Those who are here look at their queues; the slates of the others are not looked at. Then a day passes."""
        here = self._here
        values = {kind: np.full(slates.shape, np.nan, np.float32) for kind in ("like", "doubt")}
        if not self.config.penalty:
            del values["doubt"]
        begins = here & ~self._on
        self._length[begins] = self._liked[begins] = 0
        looks = here.copy()
        for slot in range(slates.shape[1]):
            rows = np.flatnonzero(looks & (slates[:, slot] >= 0))
            ended = self._look(rows, slates[rows, slot], slot, values)
            looks[rows[ended]] = False
        # Who was shown nothing has nothing to stay for.
        self._on = looks & (slates >= 0).any(axis=1) & (self._habits is not None)
        self._number += here & ~self._on
        self._days += here
        self._next = np.where(here, (self._next + self.config.candidates) % self._order.shape[1], self._next)
        return Outcome(values, self._night(here))

    def _look(self, rows: I64, items: I64, slot: int, values: dict[str, F32]) -> Bool:
        """(n,) users look at (n,) items -> (n,) whose session ends with it."""
        every = self._every(rows, items[:, None])[:, :, 0]
        own = self.rater[rows], np.arange(len(rows))
        likes = self._rng.random(len(rows)) < every[own]
        values["like"][rows[likes], slot] = 1.0
        if "doubt" in values:
            values["doubt"][rows, slot] = every.std(axis=0)
        surprise = likes - self._responses.foretold(self._rated(rows, items[:, None])[:, :, 0][own])
        self._trail.go(rows, items, surprise)
        place = self._length[rows].copy()
        self._length[rows] += 1
        self._liked[rows] += likes
        draw = self._rng.random(len(rows))
        if self._habits is None:
            return np.zeros(len(rows), np.bool_)
        chance = self._habits.quits(
            place, likes.astype(np.float64), self._trail.mood[rows], self._number[rows].astype(np.float64)
        )
        ended: Bool = draw < chance
        return ended

    def _night(self, here: Bool) -> Bool:
        """Who comes tomorrow, and (B,) who has left for good tonight, of those who were here."""
        left = here & (self._days >= self.config.visits)
        over = here & ~self._on
        self._away = np.where(over, 1, np.where(self._on, 0, self._away + 1))
        if self._habits is not None:
            rows = np.flatnonzero(over)
            self._back[rows] = self._returns(rows, self._habits)
            left = over & (self._back > self._habits.patience)
        self.gone |= left
        self._here = ~self.gone & ((self._on | (self._away == self._back)) if self._habits is not None else True)
        return left

    def _returns(self, rows: I64, habits: Habits) -> I64:
        """(n,) users whose session is over -> (n,) the day on which each is back, the one after ``patience`` for never."""
        length = np.maximum(self._length[rows], 1.0)
        liked, number = self._liked[rows] / length, (self._number[rows] - 1).astype(np.float64)  # sessions before this one
        draws = self._rng.random((habits.patience, len(rows)))
        back = np.full(len(rows), habits.patience + 1, np.int64)
        for day in range(habits.patience, 0, -1):
            comes = draws[day - 1] < habits.returns(np.full(len(rows), float(day)), liked, length, number)
            back[comes] = day
        return back
