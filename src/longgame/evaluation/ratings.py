"""How well ratings are foretold: each rating once, by a model that was fitted without it, beside plain biases.

Two ways to hold ratings out. Folds drawn at random are what the field reports; they compare models and flatter all of them,
for a model knows what a user thought later. A split in time has no such leak, and there a model that learns on as ratings
come (``protocols.Incremental``) can show what that is worth: :func:`as_they_come`.

Not in here: rankings, which are ``evaluation.ranking``'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError, DataError
from longgame.evaluation.intervals import Estimate
from longgame.evaluation.splits import Split
from longgame.models.kept import nothing
from longgame.models.rating_fit import labelled, newest, then
from longgame.protocols import RatingModel
from longgame.rng import derive
from longgame.shapes import check
from longgame.types import F32, F64, I64

BASELINE = "biases"
_DRAWS = 1000
"""Samples of users behind an interval."""


class Rater(RatingModel, Protocol):
    """What is judged here: of ``protocols.Model`` only what learning needs."""

    @property
    def name(self) -> str: ...

    def fit(self, log: Interactions, features: F32) -> None:
        """As ``protocols.Model.fit``; there are no features here, X is 0."""


@dataclass(frozen=True)
class Fold:
    """What a model is fitted on, and the ratings it is judged by: the same users and items in both."""

    train: Interactions
    test: Interactions


@dataclass(frozen=True)
class Entry:
    """A rater that is to be in a table."""

    name: str
    title: str
    make: Callable[[], Rater]
    """One that has learned nothing yet."""
    told: bool = False
    """Whether it is told the moment of each rating it is asked for: by ``rate_at(users, items, at)``."""

    def rate(self, rater: Any, test: Interactions) -> F64:
        """(N,) the rows of ``test``, by a fitted rater."""
        out = rater.rate_at(test.user, test.item, test.at) if self.told else rater.rate(test.user, test.item)
        return np.asarray(out, np.float64)


@dataclass(frozen=True)
class RatingRow:
    """One rater's errors, in the units of the ratings."""

    name: str
    title: str
    rmse: Estimate
    """Mean over folds; 95 % interval by bootstrap over users, who are judged in all folds together."""
    mae: Estimate
    gap: Estimate
    """RMSE less the baseline's, over the same draws of users; below 0 is better."""
    folds: tuple[float, ...]
    """RMSE of each fold."""
    seconds: tuple[float, ...]
    """To fit, of each fold."""


@dataclass(frozen=True)
class RatingTable:
    """Raters on the same folds, the baseline first."""

    split: str
    """How ratings were held out, in words."""
    users: int
    """Who have a rating among those held out."""
    ratings: int
    """Held out, over all folds."""
    rows: tuple[RatingRow, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Biases:
    """Global mean, user bias and item bias, the plain baseline: Koren, "Factor in the Neighbors", TKDD 2010, eq. 1.

    ``rounds`` of least squares in turns, items first, each bias damped as if its owner had so many more ratings at the
    mean. The defaults are those of Surprise's BaselineOnly.
    """

    name = BASELINE

    def __init__(self, item_damping: float = 10.0, user_damping: float = 15.0, rounds: int = 10) -> None:
        self._damping, self._rounds = (item_damping, user_damping), rounds
        self._mean, self._range, self._log = 0.0, (0.0, 0.0), nothing()
        self._item, self._user = np.zeros(0), np.zeros(0)

    def fit(self, log: Interactions, features: F32) -> None:
        self._log, log = log, log.select(labelled(log))
        value, user = log.value.astype(np.float64), log.user
        self._mean, self._range = 0.0, (0.0, 0.0)
        self._item, self._user = np.zeros(len(log.items)), np.zeros(len(log.users))
        if not len(log):
            return
        self._mean, self._range = float(value.mean()), (float(value.min()), float(value.max()))
        for _ in range(self._rounds):
            self._item = _damped(value - self._mean - self._user[user], log.item, len(log.items), self._damping[0])
            self._user = _damped(value - self._mean - self._item[log.item], user, len(log.users), self._damping[1])

    def update(self, more: Interactions) -> None:
        """As ``protocols.Incremental``: exact, for it is a fit on all of the log."""
        self.fit(then(self._log, newest(more))[0], np.zeros((len(more.items), 0), np.float32))

    def rate(self, users: I64, items: I64) -> F32:
        """As ``protocols.RatingModel``."""
        check({}, ("users", users, "N"), ("items", items, "N"))
        user, item = np.append(self._user, 0.0), np.append(self._item, 0.0)  # unknown ones, -1, take the zero at the end
        out = self._mean + user[np.minimum(users, len(user) - 1)] + item[np.minimum(items, len(item) - 1)]
        clipped: F32 = np.clip(out, *self._range).astype(np.float32)
        return clipped


def _damped(left: F64, owner: I64, count: int, damping: float) -> F64:
    out: F64 = np.bincount(owner, left, count) / (damping + np.bincount(owner, minlength=count))
    return out


def rated(log: Interactions) -> Interactions:
    """One row of each user and item, the newest rating or, unlabelled, what was taken and not rated.

    Raises DataError where there is nothing in the values to foretell.
    """
    log = newest(log)
    value = log.value[labelled(log)]
    if len(np.unique(value)) < 2:
        what = f"all {len(value):,} have the value {value[0]:g}" if len(value) else "there are none"
        raise DataError(
            f"ratings: needs events with values that differ, got a log where {what}; import ratings with --map value"
        )
    return log


def folds(log: Interactions, count: int = 5, seed: int = 0) -> list[Fold]:
    """Ratings dealt to ``count`` parts at random, sizes alike; each part is the test once. As :func:`rated` raises.

    What is unlabelled is learned from in every fold.

    Raises ConfigError for fewer than two parts or more than there are ratings.
    """
    log = rated(log)
    rows = np.flatnonzero(labelled(log))
    if not 2 <= count <= len(rows):
        raise ConfigError(f"folds: must be 2 or more and at most the {len(rows):,} ratings, got {count}")
    part = np.full(len(log), -1, np.int64)
    part[rows[derive(seed, "folds").permutation(len(rows))]] = np.arange(len(rows)) % count
    return [Fold(log.select(part != number), log.select(part == number)) for number in range(count)]


def in_time(split: Split) -> list[Fold]:
    """A split as one fold: validation is learned from too. Raises DataError where either side holds no ratings."""
    rated(split.before)
    test = newest(split.test)
    test = test.select(labelled(test))
    if not len(test):
        raise DataError(f"ratings: nothing is held out ({split.label}); move the bound, or take folds")
    return [Fold(newest(split.before), test)]


def judge(
    parts: Sequence[Fold],
    entries: Sequence[Entry],
    label: str,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    on_fold: Callable[[str, int, float], None] = lambda name, fold, rmse: None,
) -> RatingTable:
    """Every entry fitted on every fold, and the baseline before them, unasked.

    ``on_fold`` takes the entry's name, the number of the fold and its RMSE. The seed draws the users behind the intervals.
    Raises ConfigError where two entries have one name.
    """
    everybody = [Entry(BASELINE, "mean and biases", Biases), *entries]
    if len({entry.name for entry in everybody}) < len(everybody):
        raise ConfigError(f"a table's models need names of their own, got {', '.join(entry.name for entry in everybody)}")
    missed: list[list[F64]] = []
    seconds: list[tuple[float, ...]] = []
    for entry in everybody:
        lefts, took = [], []
        for number, fold in enumerate(parts):
            rater, start = entry.make(), clock()
            rater.fit(fold.train, np.zeros((len(fold.train.items), 0), np.float32))
            took.append(clock() - start)
            left = entry.rate(rater, fold.test) - fold.test.value
            lefts.append(left)
            on_fold(entry.name, number, rmse(left))
        missed.append(lefts)
        seconds.append(tuple(took))
    errors = _errors(parts, missed, derive(seed, "ratings", "users"))
    rows = (RatingRow(e.name, e.title, *found, took) for e, found, took in zip(everybody, errors, seconds, strict=True))
    users = len(np.unique(np.concatenate([fold.test.user for fold in parts])))
    return RatingTable(label, users, sum(len(fold.test) for fold in parts), tuple(rows))


def rmse(left: F64) -> float:
    """Root of the mean square of what was foretold less what came, (N,)."""
    return float(np.sqrt(np.mean(left**2)))


def _errors(
    parts: Sequence[Fold], missed: Sequence[Sequence[F64]], rng: np.random.Generator
) -> list[tuple[Estimate, Estimate, Estimate, tuple[float, ...]]]:
    """RMSE, MAE, gap to the first entry and RMSE by fold of each entry, all under the same draws of users."""
    count = _by_user(parts, [np.ones(len(fold.test)) for fold in parts])
    some = np.flatnonzero(count.sum(axis=0))  # users with a rating held out
    sums = np.stack(  # (entries, square and absolute, folds, users)
        [[_by_user(parts, [left**2 for left in lefts]), _by_user(parts, [abs(left) for left in lefts])] for lefts in missed]
    )
    count, sums = count[:, some], sums[..., some]
    found = np.empty((_DRAWS + 1, *sums.shape[:2]))
    for draw in range(_DRAWS + 1):  # the first is all users as they are
        times = np.bincount(rng.integers(len(some), size=len(some)), minlength=len(some)) if draw else np.ones(len(some))
        held = count @ times
        mean = (sums @ times)[..., held > 0] / held[held > 0]  # a draw of few users may have nothing in a fold
        found[draw, :, 0], found[draw, :, 1] = np.sqrt(mean[:, 0]).mean(axis=-1), mean[:, 1].mean(axis=-1)
    root, absolute = found[..., 0], found[..., 1]
    gap, n = root - root[:, :1], len(some)
    return [
        (_told(root[:, e], n), _told(absolute[:, e], n), _told(gap[:, e], n), tuple(map(rmse, lefts)))
        for e, lefts in enumerate(missed)
    ]


def _by_user(parts: Sequence[Fold], of: Sequence[F64]) -> F64:
    """(folds, U) sums over each user's held-out ratings."""
    out: F64 = np.stack([np.bincount(f.test.user, v, len(f.test.users)) for f, v in zip(parts, of, strict=True)])
    return out


def _told(drawn: F64, users: int) -> Estimate:
    """The first is the value, the others are its draws."""
    low, high = np.quantile(drawn[1:], [0.025, 0.975])
    return Estimate(float(drawn[0]), float(low), float(high), users, float(users))


def as_they_come(rater: Rater, test: Interactions, blocks: int, learn: bool) -> F32:
    """(N,) the rows of ``test`` rated in order of time, in ``blocks`` of equally many, each before any of it is learned from.

    With ``learn`` the rater is updated with each block once it is rated; ratings of one moment stay together. Raises
    ConfigError for a rater that does not learn on, and for less than one block.
    """
    update = getattr(rater, "update", None)
    if blocks < 1 or (learn and update is None):
        name = f"blocks must be 1 or more, got {blocks}" if blocks < 1 else f"{rater.name} has no update, so it cannot learn on"
        raise ConfigError(f"as_they_come: {name}")
    moment = np.sort(test.at)
    bounds = np.unique(moment[len(moment) * np.arange(1, blocks) // blocks]) if len(moment) else moment
    block = np.searchsorted(bounds, test.at, side="right")
    out = np.zeros(len(test), np.float32)
    for number in range(len(bounds) + 1):
        now = block == number
        if not now.any():
            continue
        out[now] = rater.rate(test.user[now], test.item[now])
        if learn and update is not None:
            update(test.select(now))
    return out
