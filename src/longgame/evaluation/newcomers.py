"""New users, judged after so many of their events by what they rated later: states, histories, and the grouped AUC.

Users are dealt once: 30 % are new and only judged, 15 % are new and only chosen by, and the others are learned from, without
the last fifth of their events, on which they are judged as warm users: one half of them chosen by, one half judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from longgame.errors import DataError
from longgame.profiles import Population, Profile
from longgame.rng import derive
from longgame.types import F32, F64, I64, Bool, Event, Item, Record, User, UserId

COLD = (1, 3, 5, 10, 30, 100)
"""Events after which a new user is judged."""
GRID = (1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 70, 100, 150, 220, 320, 480)
"""Lengths of history at which is learned."""
FEWEST = 40
"""Users with ratings that anything is said of, at least."""


@dataclass(frozen=True)
class Ratings:
    """Ratings in each user's order, and who is who."""

    items: Sequence[Item]
    users: dict[UserId, User]
    events: list[list[Event]]
    position: list[I64]
    """Of each event's item, in ``items``."""
    liked: list[Bool]
    train: I64
    chosen: I64
    """New users that are chosen by."""
    test: I64
    kind: str
    """Of the events."""

    @staticmethod
    def of(items: Sequence[Item], users: Iterable[User], events: Iterable[Event]) -> Ratings:
        """Of the events' commonest kind with values that differ; liked is what is rated as high as about half of all are.

        Raises DataError where there are no such ratings, or of fewer than ``FEWEST`` users.
        """
        place = {item.id: row for row, item in enumerate(items)}
        rated = _rated([event for event in events if event.item in place])
        by: dict[UserId, list[Event]] = {}
        for event in sorted(rated, key=lambda e: (e.at, e.id)):
            by.setdefault(event.user, []).append(event)
        if len(by) < FEWEST:
            raise DataError(
                f"new users: needs ratings by {FEWEST} users or more, got {len(by)}; events with values that differ"
            )
        held = [by[user] for user in sorted(by)]
        order = derive(0, "profiles", "users").permutation(len(held))
        cuts = [round(0.55 * len(order)), round(0.7 * len(order))]
        train, chosen, test = (np.sort(part) for part in np.split(order, cuts))
        bound = _middle(np.array([event.value for event in rated]))
        position = [np.array([place[e.item] for e in one], np.int64) for one in held]
        liked = [np.array([e.value >= bound for e in one]) for one in held]
        return Ratings(items, {user.id: user for user in users}, held, position, liked, train, chosen, test, rated[0].kind)

    @staticmethod
    def among(records: Iterable[Record]) -> Ratings:
        """As :meth:`of`, of the records of a set of data."""
        told = list(records)
        items, users = [r for r in told if isinstance(r, Item)], [r for r in told if isinstance(r, User)]
        return Ratings.of(items, users, [r for r in told if isinstance(r, Event)])

    def learned(self, user: int) -> int:
        """How many events of a training user are learned from."""
        return int(len(self.events[user]) * 0.8)

    def held(self) -> list[Event]:
        """All events that are learned from."""
        return [event for user in self.train.tolist() for event in self.events[user][: self.learned(user)]]


def _rated(events: Sequence[Event]) -> list[Event]:
    """Those of the commonest kind whose values differ."""
    kinds: dict[str, list[Event]] = {}
    for event in events:
        kinds.setdefault(event.kind, []).append(event)
    told = [some for some in kinds.values() if len({event.value for event in some}) > 1]
    return max(told, key=len, default=[])


def _middle(values: F64) -> float:
    """The value that a share nearest to half of all reach."""
    known, count = np.unique(values, return_counts=True)
    reach = np.cumsum(count[::-1])[::-1] / len(values)
    return float(known[np.argmin(np.abs(reach - 0.5))])


@dataclass(frozen=True)
class States:
    """Histories cut somewhere, and what is judged after each."""

    user: I64
    length: I64
    end: I64
    """Targets are the user's events from ``length`` to ``end``."""

    def __len__(self) -> int:
        return len(self.user)

    @staticmethod
    def of(rows: Sequence[tuple[int, int, int]]) -> States:
        return States(*np.array(rows, np.int64).reshape(-1, 3).T)


def lesson(data: Ratings) -> States:
    """What is learned from."""
    return States.of([(u, n, data.learned(u)) for u in data.train.tolist() for n in GRID if n + 1 < data.learned(u)])


def cold(data: Ratings, users: I64) -> States:
    """Of new users, those where both liked and not liked items follow."""
    rows = [(u, n, len(data.events[u])) for u in users.tolist() for n in COLD if _both(data.liked[u][n:])]
    return States.of(rows)


def warm(data: Ratings, half: int) -> States:
    """Of one half of the users that are learned from, where both follow."""
    users = [u for u in data.train.tolist()[half::2] if _both(data.liked[u][data.learned(u) :])]
    return States.of([(u, data.learned(u), len(data.events[u])) for u in users])


def _both(liked: Bool) -> bool:
    return bool(0 < liked.sum() < len(liked))


def histories(data: Ratings, states: States, steps: int, liked_only: bool = False) -> I64:
    """(N, T) positions, newest last, -1 in front."""
    out = np.full((len(states), steps), -1, np.int64)
    for row, (user, n) in enumerate(zip(states.user.tolist(), states.length.tolist(), strict=True)):
        held = data.position[user][:n]
        held = (held[data.liked[user][:n]] if liked_only else held)[-steps:]
        out[row, steps - len(held) :] = held
    return out


def profiles(data: Ratings, states: States, population: Population) -> F32:
    """(N, F) each state's profile, by one walk over each user's events."""
    wanted: dict[int, list[tuple[int, int]]] = {}
    for row, (user, n) in enumerate(zip(states.user.tolist(), states.length.tolist(), strict=True)):
        wanted.setdefault(user, []).append((n, row))
    out: dict[int, F32] = {}
    for user, cuts in wanted.items():
        held = data.events[user]
        profile, done = Profile.of(population, data.users.get(held[0].user), []), 0
        for n, row in sorted(cuts):
            for event in held[done:n]:
                profile = profile.add(event)
            done, out[row] = n, profile.vector()
    return np.stack([out[row] for row in range(len(states))])


def shuffled(context: F32, states: States, rng: np.random.Generator) -> F32:
    """Each state gets the profile of another with as many events, or, where there is none, with the next number of them."""
    mixed = rng.permutation(len(states))
    order = mixed[np.argsort(states.length[mixed], kind="stable")]
    out = context.copy()
    out[order] = context[np.roll(order, 1)]
    return out


def grouped_auc(data: Ratings, states: States, scores: F32) -> F64:
    """(N,) AUC of each state over what its user rated later, by scores (N, I)."""
    out = np.empty(len(states))
    for row, (user, n, end) in enumerate(zip(states.user, states.length, states.end, strict=True)):
        liked = data.liked[user][n:end]
        ranks = rankdata(scores[row, data.position[user][n:end]])
        positive = liked.sum()
        out[row] = (ranks[liked].sum() - positive * (positive + 1) / 2) / (positive * (len(liked) - positive))
    return out


def by_user(states: States, values: F64) -> tuple[I64, F64]:
    """(U,) users and the mean of each one's states."""
    users, place = np.unique(states.user, return_inverse=True)
    return users, np.bincount(place, values) / np.bincount(place)
