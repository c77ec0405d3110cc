"""What the rating predictors share: one rating a pair, a scale, how long to train, and how to learn on.

A pair whose value is NaN is *unlabelled*: the user took the item, and no rating of it is known. A model that learns from who
took what reads such pairs (``implied``), others leave them out; nobody's error counts them.

Not in here: what a rating is made of. That is each model's own file, as a :class:`Trainer`.

``stopping.fit`` judges a model by its ranking of held-out events; here it is judged by its error on held-out ratings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models import kept
from longgame.models.stopping import Watch
from longgame.rng import derive
from longgame.shapes import check
from longgame.types import F32, F64, I64, Bool

Weights = dict[str, np.ndarray[Any, Any]]

_HELD_OUT = 0.1
"""Share of the ratings that passes are counted by."""
_START = 0.1
"""Deviation of a drawn vector's length: near nothing, so that what is never told apart stays alike."""


@dataclass(frozen=True)
class Scale:
    """From the log's values to units in which one setting fits stars and seconds alike, and back."""

    mean: float = 0.0
    deviation: float = 1.0
    """1 where all values are equal."""
    low: float = 0.0
    high: float = 0.0

    @staticmethod
    def of(value: F32) -> Scale:
        value = value[~np.isnan(value)]
        if not len(value):
            return Scale()
        spread = float(value.std(dtype=np.float64))
        return Scale(float(value.mean(dtype=np.float64)), spread or 1.0, float(value.min()), float(value.max()))

    def inward(self, value: F32) -> F32:
        return ((value - self.mean) / self.deviation).astype(np.float32)

    def outward(self, value: F64) -> F32:
        """Clipped to the range of the values that there were."""
        return np.clip(self.mean + self.deviation * value, self.low, self.high).astype(np.float32)


@dataclass(frozen=True)
class Visit:
    """A pass over all rows of m users, n in all: who comes when, and who may learn from which row."""

    user: I64
    """(m,) positions"""
    bounds: I64
    """(m+1,) user number j of these has the rows ``row[bounds[j]:bounds[j+1]]``"""
    row: I64
    """(n,) rows of the log"""
    fresh: Bool
    """(n,) False: a rating that items have learned from before; only the user learns from it."""
    turn: I64
    """(m,) whose turn it is, as numbers of these users"""
    draw: F64
    """(n,) a user's rows are visited in ascending order of it"""


class Trainer(Protocol):
    """Weights under training on one log, and the rater that they are so far. All in the units of the scale."""

    log: Interactions
    weights: Weights

    def run(self, visit: Visit, pace: float) -> float:
        """One pass, at this share of the learning rates -> the sum of the squared errors, each before its step; rows without
        a rating have none."""

    def predict(self, user: I64, item: I64, at: I64 | None) -> F64:
        """(n,) positions, -1 for unknown ones -> (n,), rated at the moments ``at`` or else as things stood last."""


class Schedule(Protocol):
    """What a config says of the passes, and of the steps in them."""

    @property
    def width(self) -> int: ...
    @property
    def bias_rate(self) -> float: ...
    @property
    def rate(self) -> float: ...
    @property
    def passes(self) -> int: ...
    @property
    def patience(self) -> int: ...
    @property
    def decay(self) -> float: ...
    @property
    def update_passes(self) -> int: ...
    @property
    def update_pace(self) -> float: ...
    @property
    def seed(self) -> int: ...


def checked(config: Schedule, penalties: Sequence[float]) -> None:
    """Raises ConfigError for what cannot work."""
    name = type(config).__name__
    if min(config.width, config.passes) < 1 or min(config.patience, config.update_passes) < 0:
        raise ConfigError(f"{name}: width and passes 1 or more, patience and update_passes 0 or more, got {config}")
    if not min(config.bias_rate, config.rate, config.update_pace) > 0 or not 0 < config.decay <= 1:
        raise ConfigError(f"{name}: rates and update_pace above 0 and decay in (0, 1], got {config}")
    if not min(penalties) >= 0:
        raise ConfigError(f"{name}: penalties must be 0 or more, got {config}")


T = TypeVar("T", bound=Trainer)


class RatingFit(Generic[T]):
    """A trainer, its log and its scale, from the first fit through updates and checkpoints.

    ``make`` makes a trainer of a log of one rating a pair, a scale, and the weights of an earlier, shorter log or None.
    ``implied``: whether it reads pairs without a rating; else they are left out.
    """

    def __init__(
        self, make: Callable[[Interactions, Scale, Weights | None], T], schedule: Schedule, watch: Watch, implied: bool
    ) -> None:  # fmt: skip
        self._make, self._schedule, self._watch, self._implied = make, schedule, watch, implied
        self._put(kept.nothing(), Scale(), None)

    def _put(self, log: Interactions, scale: Scale, weights: Weights | None) -> None:
        self.log, self.scale, self.trainer = log, scale, self._make(log, scale, weights)

    def _read(self, log: Interactions) -> Interactions:
        log = newest(log)
        return log if self._implied else log.select(labelled(log))

    def fit(self, log: Interactions) -> None:
        schedule, log = self._schedule, self._read(log)
        passes, first, told = schedule.passes, 0, labelled(log)
        if schedule.patience:
            held = told & (derive(schedule.seed, "ratings held out").random(len(log)) < _HELD_OUT)
            if held.any() and (told & ~held).any():
                passes, first = self._search(log.select(~held), log.select(held))
        self._put(log, Scale.of(log.value), None)
        visit = everybody(log)
        for number in range(passes if told.any() else 0):
            self._watch(first + number, {"refit loss" if first else "loss": self._pass(self.trainer, visit, number)})

    def _search(self, log: Interactions, held: Interactions) -> tuple[int, int]:
        """Passes over ``log`` after which ``held`` is rated best, and passes made."""
        trainer, schedule, scale, visit = self._make(log, Scale.of(log.value), None), self._schedule, None, everybody(log)
        scale = Scale.of(log.value)
        best, least, number = 1, np.inf, 0
        for number in range(schedule.passes):
            loss = self._pass(trainer, visit, number)
            wrong = scale.outward(trainer.predict(held.user, held.item, held.at)) - held.value
            error = float(np.sqrt(np.mean(wrong.astype(np.float64) ** 2)))
            self._watch(number, {"loss": loss, "rmse": error})
            if error < least:
                best, least = number + 1, error
            elif number + 1 - best >= schedule.patience:
                break
        return best, number + 1

    def _pass(self, trainer: T, visit: Visit, number: int) -> float:
        """The mean squared error of pass ``number`` of a fit."""
        rng = derive(self._schedule.seed, "ratings", "pass", str(number))
        return trainer.run(shuffled(visit, rng), self._schedule.decay**number) / int(labelled(trainer.log)[visit.row].sum())

    def update(self, more: Interactions) -> None:
        """As ``protocols.Incremental``: a few passes over the users in ``more``.

        What they rated before moves only themselves, what is new moves items too; nobody else moves. A user that was
        unknown gets a place after the others.
        """
        schedule = self._schedule
        log, fresh = then(self.log, self._read(more))
        self._put(log, self._widened(log), self.trainer.weights)
        met = np.unique(log.user[fresh])
        visit = of_users(log, met, fresh)
        for number in range(schedule.update_passes if len(met) else 0):
            rng = derive(schedule.seed, "ratings", "update", str(len(log)), str(number))
            self.trainer.run(shuffled(visit, rng), schedule.update_pace)

    def _widened(self, log: Interactions) -> Scale:
        """Units stay what they were, the range grows."""
        now = Scale.of(log.value)
        if not labelled(self.log).any():
            return now
        return Scale(self.scale.mean, self.scale.deviation, min(self.scale.low, now.low), max(self.scale.high, now.high))

    def rate(self, users: I64, items: I64, at: I64 | None = None) -> F32:
        """As ``protocols.RatingModel.rate``, at the moments ``at`` (n,) if given."""
        check({}, ("users", users, "N"), ("items", items, "N"), *([("at", at, "N")] if at is not None else []))
        user = np.where(users < len(self.log.users), users, -1)
        item = np.where(items < len(self.log.items), items, -1)
        return self.scale.outward(self.trainer.predict(user, item, at))

    def state_dict(self) -> Weights:
        weights = {f"weight {name}": array.copy() for name, array in self.trainer.weights.items()}
        scale = np.array([self.scale.mean, self.scale.deviation, self.scale.low, self.scale.high])
        log = {**kept.to_arrays(self.log), "log at": np.array(self.log.at), "log value": np.array(self.log.value)}
        return {**weights, "scale": scale, **log}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        log = kept.from_arrays(state)
        at, value = np.array(state["log at"], np.int64), np.array(state["log value"], np.float32)
        log = Interactions(log.users, log.items, log.offsets, log.item, at, value)
        weights = {name.removeprefix("weight "): np.array(a) for name, a in state.items() if name.startswith("weight ")}
        self._put(log, Scale(*state["scale"].tolist()), weights)


class RatedModel:
    """A model that is a :class:`RatingFit`. How it ranks, ``score``, is told by those who derive from it."""

    def __init__(
        self,
        make: Callable[[Interactions, Scale, Weights | None], Trainer],
        schedule: Schedule,
        watch: Watch,
        implied: bool = True,
    ) -> None:
        self._fit = RatingFit(make, schedule, watch, implied)

    def fit(self, log: Interactions, features: F32) -> None:
        self._fit.fit(log)

    def update(self, more: Interactions) -> None:
        """As ``protocols.Incremental``, near a fit on the whole log, not equal to it: see ``RatingFit.update``."""
        self._fit.update(more)

    def rate(self, users: I64, items: I64) -> F32:
        """As ``protocols.RatingModel``; users that came with updates have the places after the others."""
        return self._fit.rate(users, items)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return self._fit.state_dict()

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._fit.load_state_dict(state)


def labelled(log: Interactions) -> Bool:
    """(N,) whether a row has a rating."""
    out: Bool = ~np.isnan(log.value)
    return out


def newest(log: Interactions) -> Interactions:
    """One row of each user and item, the last one with a rating or else the last one; the order of the rows is kept."""
    return log.select(_last(log.user * len(log.items) + log.item, labelled(log)))


def _last(code: I64, told: Bool) -> Bool:
    """(n,) one True for each number in ``code``: at its last place of those that are ``told``, or of all where none is."""
    out = np.zeros(len(code), np.bool_)
    rank = np.lexsort((np.arange(len(code)), told, code))  # of each number the one wanted comes last
    out[rank[np.append(np.diff(code[rank]) != 0, True)] if len(code) else rank] = True
    return out


def then(log: Interactions, more: Interactions) -> tuple[Interactions, Bool]:
    """``log`` and ``more`` after it with one rating a pair, the newest; and (N,) which rows are from ``more``.

    Users are matched by id, new ones come at the end. Raises DataError where the catalogue is another one.
    """
    both = kept.then(log, more)  # checks the catalogue and gives each user a place
    place = {user: row for row, user in enumerate(both.users)}
    people = np.array([place[user] for user in more.users], np.int64)
    user = np.concatenate([log.user, people[more.user]])
    item, at = np.concatenate([log.item, more.item]), np.concatenate([log.at, more.at])
    value, fresh = np.concatenate([log.value, more.value]), np.arange(len(item)) >= len(log)
    order = np.lexsort((at, user))
    keep = _last((user * len(both.items) + item)[order], ~np.isnan(value[order]))
    out = Interactions(both.users, both.items, both.offsets, item[order], at[order], value[order])
    return out.select(keep), fresh[order][keep]


def everybody(log: Interactions) -> Visit:
    """All rows, all fresh."""
    return of_users(log, np.flatnonzero(np.diff(log.offsets)), np.ones(len(log), np.bool_))


def of_users(log: Interactions, users: I64, fresh: Bool) -> Visit:
    """All rows of ``users`` (m,), in no order yet."""
    length = log.offsets[users + 1] - log.offsets[users]
    bounds = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    row = np.arange(bounds[-1]) + np.repeat(log.offsets[users] - bounds[:-1], length)
    return Visit(users, bounds, row, fresh[row], np.arange(len(users)), np.zeros(len(row)))


def shuffled(visit: Visit, rng: np.random.Generator) -> Visit:
    turn, draw = rng.permutation(len(visit.user)), rng.random(len(visit.row))
    return Visit(visit.user, visit.bounds, visit.row, visit.fresh, turn, draw)


def drawn(log: Interactions, width: int, rng: np.random.Generator) -> tuple[F32, F32]:
    """(U, D) and (I, D) to start from; zeros where there is nothing to learn from.

    Items draw in the order in which the log names them, so that the catalogue's order does not matter.
    """
    users, items = (np.zeros((count, width), np.float32) for count in (len(log.users), len(log.items)))
    rated = np.flatnonzero(np.diff(log.offsets))
    met, first = np.unique(log.item, return_index=True)
    met = met[np.argsort(first)]
    scale = np.float32(_START / np.sqrt(width))
    users[rated] = scale * rng.standard_normal((len(rated), width), np.float32)
    items[met] = scale * rng.standard_normal((len(met), width), np.float32)
    return users, items


def rarity(log: Interactions, of: Bool) -> F32:
    """(I,) one over the square root of how many of the rows ``of`` (N,) an item has, 1 for none."""
    count = np.bincount(log.item[of], minlength=len(log.items))
    out: F32 = (1 / np.sqrt(np.maximum(count, 1))).astype(np.float32)
    return out


def longer(array: F32, count: int) -> F32:
    """A copy with zeros up to ``count`` rows."""
    return np.concatenate([array, np.zeros((count - len(array), *array.shape[1:]), array.dtype)])


def pick(array: F32, position: I64) -> F32:
    """(n, ...) rows of ``array``, zeros for -1."""
    if not len(array):
        return np.zeros((len(position), *array.shape[1:]), array.dtype)
    known = position >= 0
    out: F32 = array[np.where(known, position, 0)]
    out[~known] = 0
    return out


def rated(log: Interactions, user: I64) -> Bool:
    """(n,) positions, -1 for unknown ones -> (n,) whether the log has a row of that user."""
    out: Bool = np.append(np.diff(log.offsets) > 0, False)[user]
    return out


def tellers(log: Interactions) -> Bool:
    """(U,) whether a user has a rating; who has only what was taken has trained no factors of his own."""
    return np.bincount(log.user[labelled(log)], minlength=len(log.users)) > 0


def usual(log: Interactions, array: F32) -> F32:
    """(U, ...) -> (...) mean over the users with ratings: how to rate for somebody of whom nothing is known.

    Zeros would not do: what all users' factors have in common is part of how well an item is liked, and is not in its bias.
    """
    met = tellers(log)
    return array[met].mean(axis=0, dtype=np.float64).astype(np.float32) if met.any() else np.zeros_like(array[:1].sum(axis=0))


def ranked_bias(log: Interactions, bias: F32) -> F32:
    """(I,) the item biases, the lowest for items without a rating: "like the mean" is above half of what was rated."""
    count = np.bincount(log.item[labelled(log)], minlength=len(log.items))
    return np.where(count > 0, bias, bias.min(initial=0)).astype(np.float32)
