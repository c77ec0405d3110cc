"""A world as algorithms see it: observe, show slates, be told what came of them. Arrays only, B users at a time.

    from longgame.simulation import Environment
    from longgame.simulation.interest_evolution import InterestEvolution

    world = Environment(InterestEvolution(), slots=2)
    seen = world.reset(0)
    for _ in range(100):
        slates = seen.items[..., 0].argsort(axis=1)[:, :2]
        step = world.step(slates)
        seen = world.observe()

Users who left are replaced at once, each row by a new one, so that there is always somebody to learn from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longgame.arrays import State
from longgame.errors import ShapeError
from longgame.protocols import World
from longgame.rng import derive
from longgame.types import F32, I64, Bool, Objective


@dataclass(frozen=True)
class Observation:
    """What can be known before a slate is made."""

    state: State
    """State of B"""
    items: F32
    """(B, C, D) vectors of what is offered; a broadcast view where everybody is offered the same"""
    mask: Bool
    """(B, C) False on padding"""
    positions: I64
    """(B, C) catalogue positions, -1 on padding"""
    here: Bool
    """(B,) who asks for a slate"""


@dataclass(frozen=True)
class Step:
    """What came of B slates."""

    reward: F32
    """(B, K) of each slot, by the objective"""
    response: Bool
    """(B, K) True where the user did anything that the objective does not count against the product"""
    left: Bool
    """(B,) whose row begins anew: an end"""


class Environment:
    """A :class:`longgame.protocols.World` on the axes of :class:`longgame.arrays.Batch`.

    ``steps`` is T, the items of a history: what the user responded to, or looked at by themselves, newest last. ``remembers``
    puts behind the world's context what the log says of the session in numbers: the sum of the vectors of all that would be in
    an endless history, in tens, slates and responses, in fifties. It is what makes a hidden budget or mood knowable, and a
    product has it in its log. ``objective`` is what is wanted instead of what the world's product wants: with a discount of 0,
    to be myopic.
    """

    def __init__(
        self, world: World, slots: int, steps: int = 1, remembers: bool = True, objective: Objective | None = None
    ) -> None:
        if slots < 1 or steps < 1:
            raise ShapeError(f"Environment: slots and steps must be 1 or more, got {slots} and {steps}")
        self.world, self.slots, self.steps, self.remembers = world, slots, steps, remembers
        self.objective = objective or world.objective
        self.vectors = world.vectors
        self._forget(np.ones(world.users, np.bool_))
        self._look(np.ones(world.users, np.bool_))

    @property
    def users(self) -> int:
        return self.world.users

    @property
    def width(self) -> int:
        """D, width of an item vector."""
        return int(self.vectors.shape[1])

    @property
    def context(self) -> int:
        """F, numbers of the context."""
        return int(self.world.context().shape[1]) + (self.width + 2) * self.remembers

    @property
    def candidates(self) -> int:
        """C"""
        return int(self.world.offered().shape[1])

    def reset(self, seed: int, *keys: str) -> Observation:
        """A new population; the same for the same seed and ``keys``."""
        self.world.reset(derive(seed, "environment", *keys))
        self._forget(np.ones(self.users, np.bool_))
        self._look(np.ones(self.users, np.bool_))
        return self.observe()

    def observe(self) -> Observation:
        """What is known now. The same until the next step."""
        positions = self.world.offered()
        mask = positions >= 0
        items = self._take(positions, mask)
        return Observation(self._state(), items, mask, positions, self.world.here().copy())

    def step(self, slates: I64) -> Step:
        """:meth:`live`, and those who left make place for new users at once."""
        step = self.live(slates)
        if step.left.any():
            self.renew(step.left)
        return step

    def live(self, slates: I64) -> Step:
        """What comes of slates (B, K): columns of what is offered, -1 in an empty slot. Slates of the absent are not looked at.

        Who left is still in his row, and can be observed, until :meth:`renew`.

        Raises ShapeError for another shape and for columns that are not offered or repeated.
        """
        offered, here = self.world.offered(), self.world.here().copy()
        shown = self._shown(slates, offered, here)
        outcome = self.world.step(shown)
        reward = np.zeros(shown.shape, np.float32)
        response = np.zeros(shown.shape, np.bool_)
        for kind, values in outcome.values.items():
            happened = ~np.isnan(values)
            if self.objective.rewards.get(kind, 0.0) >= 0:  # a skip is no response
                response |= happened
            reward += _rewards(self.objective, kind, values, happened)
        self._remember(shown, response, here)
        self._look(here)
        return Step(reward, response, outcome.left)

    def renew(self, who: Bool) -> None:
        """New users in the rows (B,) that ``who`` names."""
        self._forget(who)
        self.world.renew(who)
        self._look(who)

    def _shown(self, slates: I64, offered: I64, here: Bool) -> I64:
        if slates.shape != (self.users, self.slots):
            raise ShapeError(f"Environment.step: slates must have shape {(self.users, self.slots)}, got {slates.shape}")
        slates = np.where(here[:, None], slates, -1)
        wrong = (slates < -1) | (slates >= offered.shape[1])
        if wrong.any():
            raise ShapeError(f"Environment.step: slates hold columns of {offered.shape[1]} or -1, got {slates[wrong][0]}")
        for slot in range(1, self.slots):
            if ((slates[:, :slot] == slates[:, slot, None]) & (slates[:, slot, None] >= 0)).any():
                raise ShapeError("Environment.step: a slate holds the same column twice")
        shown: I64 = np.where(slates >= 0, np.take_along_axis(offered, np.maximum(slates, 0), axis=1), -1)
        return shown

    def _take(self, positions: I64, mask: Bool) -> F32:
        if positions.strides[0] == 0:  # all are offered the same
            return np.broadcast_to(self.vectors[positions[0]], (*positions.shape, self.width))
        items = self.vectors[positions]
        if not mask.all():
            items[~mask] = 0.0
        return items

    def _state(self) -> State:
        history = np.where(self._items[..., None] >= 0, self.vectors[self._items], np.float32(0.0))
        context = self.world.context()
        if self.remembers:
            counts = np.stack([self._slates, self._responses], axis=1) / np.float32(50.0)
            context = np.concatenate([context, self._sum / np.float32(10.0), counts.astype(np.float32)], axis=1)
        return State(history, self._items.copy(), context)

    def _remember(self, shown: I64, response: Bool, here: Bool) -> None:
        self._slates += here
        for slot in range(shown.shape[1]):
            rows = np.flatnonzero(response[:, slot])
            if len(rows):
                self._responses[rows] += 1
                self._push(rows, shown[rows, slot])

    def _look(self, who: Bool) -> None:
        """What they looked at since their last slate, in a world where they do."""
        if not hasattr(self.world, "browsed"):
            return
        for column in self.world.browsed().T:
            rows = np.flatnonzero(who & (column >= 0))
            self._push(rows, column[rows])

    def _push(self, rows: I64, item: I64) -> None:
        """(n,) users and the newest item of each."""
        self._sum[rows] += self.vectors[item]
        self._items[rows, :-1] = self._items[rows, 1:]
        self._items[rows, -1] = item

    def _forget(self, who: Bool) -> None:
        if not hasattr(self, "_items"):
            self._items = np.full((self.users, self.steps), -1, np.int64)
            self._sum = np.zeros((self.users, self.width), np.float32)
            self._slates, self._responses = np.zeros(self.users, np.int64), np.zeros(self.users, np.int64)
        self._items[who] = -1
        self._sum[who] = 0.0
        self._slates[who] = self._responses[who] = 0


def _rewards(objective: Objective, kind: str, values: F32, happened: Bool) -> F32:
    """(B, K) of one kind of event, as ``Objective.reward`` has it of one event."""
    base = objective.rewards.get(kind, 0.0)
    counts = happened & (np.nan_to_num(values) >= objective.floor.get(kind, -np.inf)) if base else np.zeros_like(happened)
    worth = np.nan_to_num(values) * base if kind in objective.by_value else base
    return np.where(counts, worth, 0.0).astype(np.float32)
