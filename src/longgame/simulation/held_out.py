"""How far a behaviour that was learned from a log is that of the log: held against what it was not learned from.

*Likes* are judged by the last tenth of each user's ratings, or of a log without order by a tenth of them at random; and by
items that were dealt at random, where there are such. *Ends* and *returns* are judged by users of whom no habit was learned.
Beside each stands what is plain: the share of likes of the item, the share of ends, the hazard of each day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longgame.arrays import Interactions
from longgame.language.calibrated import auc, calibration_error, probability
from longgame.rng import derive
from longgame.simulation.behaviour import Fitting, habits, hazards, trails
from longgame.simulation.logged import Lived, Told, learned
from longgame.types import F64, I64, Bool

HELD = 0.1
"""Share of each user's ratings that is held out."""
STRANGERS = 0.2
"""Share of the users of whom no habit is learned."""
PICKS = 4
"""Of a user's held-out items, those that are picked to see what the penalty is worth."""


@dataclass(frozen=True)
class Foretold:
    """One kind of behaviour: n cases that were held out."""

    what: str
    cases: int
    share: float
    """Of them, in which it happened."""
    auc: float
    plain_auc: float
    loss: float
    """Mean of minus the logarithm of the chance of what happened, in nats."""
    plain_loss: float
    off: float
    """``language.calibrated.calibration_error``"""


@dataclass(frozen=True)
class Doubted:
    """What the raters' disagreement tells."""

    error: tuple[float, float]
    """Mean squared error of the foretold ratings, in variances of the ratings, of the quarter of the held-out cases that is
    doubted least and of the one that is doubted most."""
    picked: dict[float, float]
    """Penalty -> share of likes among the ``PICKS`` of a user's held-out items that are best by chance less penalty x doubt."""
    any: float
    """The same of any of them."""


@dataclass(frozen=True)
class Check:
    """What a world learned from a log was held against."""

    name: str
    rows: tuple[Foretold, ...]
    doubt: Doubted


def check(told: Told, fitting: Fitting | None = None) -> Check:
    """Learned from one part of the log, judged by the other. Raises DataError where a part is too small to learn from."""
    fitting = fitting or Fitting()
    held = recent(told.log, HELD, fitting.seed)
    strangers = derive(fitting.seed, "held out", "people").random(len(told.log.users)) < STRANGERS
    lived = learned(told.only(~held), fitting)
    test = told.log.select(held)
    near, mood, after = _came(told, lived)
    near, mood = near[held], mood[held]
    rows = [_likes("likes", lived, test, near, mood)]
    truth = test
    if told.dealt is not None:
        dealt, chosen = (one.user * len(told.items) + one.item for one in (told.dealt, told.log))
        truth = told.dealt.select(~np.isin(dealt, chosen))  # some were chosen as well, and are known
        nothing = np.zeros(len(truth))
        near, mood = nothing, nothing
        rows.append(_likes("likes of what was dealt", lived, truth, near, mood))
    if lived.behaviour.responses.ordered:
        rows += _habits(told, lived, fitting, strangers, after)
    return Check(told.name, tuple(rows), _doubted(lived, truth, near, mood, fitting.seed))


def recent(log: Interactions, share: float, seed: int) -> Bool:
    """(N,) the last ``share`` of each user's rows, or of a log without order as many at random."""
    length = np.diff(log.offsets)
    if not log.ordered:
        out: Bool = derive(seed, "held out", "rows").random(len(log)) < share
        return out
    place = np.arange(len(log)) - np.repeat(log.offsets[:-1], length)
    last: Bool = place >= np.repeat(length - np.floor(share * length), length)
    return last


def _came(told: Told, lived: Lived) -> tuple[F64, F64, F64]:
    """(N,) nearness and mood before each row, after all that the user had done before, and mood after it."""
    log, responses = told.log, lived.behaviour.responses
    if not responses.ordered:
        nothing = np.zeros(len(log))
        return nothing, nothing, nothing
    place = _place(responses.people, len(log.users))
    known = place[log.user] >= 0
    rating = responses.rating[:, np.maximum(place[log.user], 0), log.item].mean(axis=0).astype(np.float64)
    so = log.value >= told.liked
    return trails(log, lived.vectors, np.where(known, so - responses.foretold(rating), 0.0))


def _place(people: I64, users: int) -> I64:
    """(U,) number of each user among ``people``, -1 for others."""
    out = np.full(users, -1, np.int64)
    out[people] = np.arange(len(people))
    return out


def _every(lived: Lived, test: Interactions, near: F64, mood: F64) -> tuple[Bool, F64, F64]:
    """(N,) who can be foretold; of those (M, n) ratings, (M, n) chances."""
    responses = lived.behaviour.responses
    place = _place(responses.people, len(test.users))[test.user]
    known = place >= 0
    rating = responses.rating[:, place[known], test.item[known]].astype(np.float64)
    chance = responses.chances(rating[:, :, None], near[known, None], mood[known])[:, :, 0]
    return known, rating, chance


def _likes(what: str, lived: Lived, test: Interactions, near: F64, mood: F64) -> Foretold:
    known, _, chance = _every(lived, test, near, mood)
    log, line = lived.told.log, lived.told.liked
    counts = np.ones(len(log)) if lived.told.propensity is None else 1 / np.maximum(lived.told.propensity, 1e-3)
    counts = counts / counts.mean()
    likes = np.bincount(log.item, counts * (log.value >= line), len(log.items))
    count = np.bincount(log.item, counts, len(log.items))
    rate = float((counts * (log.value >= line)).mean())
    plain = ((likes + 5.0 * rate) / (count + 5.0))[test.item[known]]
    return _foretold(what, chance.mean(axis=0), plain, test.value[known] >= line)


def _habits(told: Told, lived: Lived, fitting: Fitting, strangers: Bool, mood: F64) -> list[Foretold]:
    """Learned of some users' whole logs, judged by the others'. What was liked is taken as it was, and (N,) moods after it."""
    log, so = told.log, told.log.value >= told.liked
    place = _place(lived.behaviour.responses.people, len(log.users))
    ends, table, back, times = hazards(log, so, mood, fitting, strangers & (place >= 0))
    others = hazards(log, so, mood, fitting, ~strangers & (place >= 0))
    known = habits(others, fitting)
    if known is None or not len(ends) or not len(back):
        return []
    usual = float(others[0].mean())
    day, seen = np.expm1(times[:, 0]).round().astype(np.int64), np.expm1(others[3][:, 0]).round().astype(np.int64)
    hazard = np.bincount(seen, others[2], fitting.patience + 1) / np.maximum(
        np.bincount(seen, minlength=fitting.patience + 1), 1
    )
    return [
        _foretold("a session ends here", probability(table, known.quit), np.full(len(ends), usual), ends),
        _foretold("comes back on this day", probability(times, known.back), hazard[day], back),
    ]


def _foretold(what: str, chance: F64, plain: F64, so: Bool) -> Foretold:
    mine, other = (float(-np.log(np.clip(np.where(so, p, 1 - p), 1e-6, 1.0)).mean()) for p in (chance, plain))
    ranks = auc(chance, so), auc(plain, so)
    return Foretold(what, len(so), float(so.mean()), *ranks, mine, other, calibration_error(chance, so))


def _doubted(lived: Lived, truth: Interactions, near: F64, mood: F64, seed: int) -> Doubted:
    known, rating, chance = _every(lived, truth, near, mood)
    so = truth.value[known] >= lived.told.liked
    doubt, mean = chance.std(axis=0), chance.mean(axis=0)
    responses = lived.behaviour.responses
    foretold = responses.centre + responses.spread * rating.mean(axis=0)
    wrong = (foretold - truth.value[known]) ** 2 / float(lived.told.log.value.var())
    quarter = np.array_split(np.argsort(rating.std(axis=0), kind="stable"), 4)
    user, tie = truth.user[known], derive(seed, "held out", "ties").random(len(so))
    picked = {penalty: _picked(user, mean - penalty * doubt, so, tie) for penalty in (0.0, 1.0, 3.0)}
    return Doubted((float(wrong[quarter[0]].mean()), float(wrong[quarter[3]].mean())), picked, _picked(user, tie, so, tie))


def _picked(user: I64, worth: F64, so: Bool, tie: F64) -> float:
    """Share of likes among each user's ``PICKS`` best, of users with more than that."""
    order = np.lexsort((tie, -worth, user))
    count = np.bincount(user)
    place = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    best = order[(place < PICKS) & (count[user[order]] > PICKS)]
    return float(so[best].mean()) if len(best) else float("nan")
