"""What users do, learned from what they did: what they like, when they stop looking, and whether they come back.

*Response.* M raters (``models.svd``), each fitted without one M-th of the ratings, foretell the part that they have not seen. A
logistic regression turns what they foretell into the chance that an item is liked, together with how near the item is to what
was looked at last (whoever had much of a kind may want more of it, or less) and with the *mood*: by how much more than
foretold the last things were liked. Where it is known how probable each rating was to be given, each counts in the regression
by one over that; the raters do not ask (inverse propensities; Schnabel et al., ICML 2016, section 4).

How far the M differ is what they do not know (*doubt*): a policy that learns here is charged for going where they differ
(Yu et al., "MOPO", NeurIPS 2020, eq. 8: reward less lambda times the uncertainty).

*Quit.* The hazard of a session's end after each thing looked at. *Return.* The hazard that who left comes back on each of the
next days. Both are logistic regressions on what the session was like, and only where a log has times. They tell what went
together, not what would change if something else were shown: nobody tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError, DataError
from longgame.language.calibrated import logistic, probability
from longgame.models.svd import Svd, SvdConfig
from longgame.rng import derive
from longgame.types import F32, F64, I64, Bool

NEW = 0.2
"""Share that the newest thing has in what a user looked at last, and in the mood."""
_TABLE = 50_000_000
"""Numbers that are foretold at most: of fewer users where there are many items."""
_FEWEST = 100
"""Ratings that anything is learned from, at least."""
_SESSIONS = 100_000
"""Sessions that returns are learned from, at most: drawn where there are more."""
_DAY = 86_400_000_000
"""Microseconds."""


class Trail:
    """What B users looked at last, and their mood."""

    def __init__(self, users: int, vectors: F32) -> None:
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._unit = (vectors / np.where(length > 0, length, 1.0)).astype(np.float64)
        self._last = np.zeros((users, vectors.shape[1]))
        self.mood = np.zeros(users)

    def near(self, rows: I64, items: I64) -> F64:
        """(n,) users and (n, C) items -> (n, C) in [-1, 1] how like what they looked at last."""
        out: F64 = np.einsum("ncd,nd->nc", self._unit[np.maximum(items, 0)], self._last[rows])
        return out

    def go(self, rows: I64, items: I64, surprise: F64) -> None:
        """(n,) users look at (n,) items and like them (n,) more than was foretold."""
        self._last[rows] += NEW * (self._unit[items] - self._last[rows])
        self.mood[rows] += NEW * (surprise - self.mood[rows])

    def forget(self, rows: I64) -> None:
        self._last[rows] = 0.0
        self.mood[rows] = 0.0


@dataclass(frozen=True)
class Responses:
    """Chances that something is liked, by M raters."""

    people: I64
    """(P,) positions in the log of the users of whom it can be foretold"""
    rating: F32
    """(M, P, I) ratings as each rater foretells them, less ``centre``, in units of ``spread``"""
    centre: float
    spread: float
    alone: F64
    """(2,) what a rating alone says (``language.calibrated.logistic``)"""
    line: F64
    """(2,) or (4,) what it says with nearness and mood beside it; (2,) where the log has no order"""

    @property
    def ordered(self) -> bool:
        return len(self.line) == 4

    def foretold(self, rating: F64) -> F64:
        """(...) the chance by the rating alone."""
        return probability(rating[..., None], self.alone)

    def chances(self, rating: F64, near: F64, mood: F64) -> F64:
        """(..., n, C), (n, C), (n,) -> (..., n, C)."""
        if not self.ordered:
            return probability(rating[..., None], self.line)
        shape = rating.shape
        both = np.broadcast_to(near, shape), np.broadcast_to(mood[:, None], shape)
        return probability(np.stack([rating, *both], axis=-1), self.line)


@dataclass(frozen=True)
class Habits:
    """Hazards of a session's end and of a return."""

    quit: F64
    """(5,) weights of :func:`staying`"""
    back: F64
    """(5,) weights of :func:`away`"""
    patience: int
    """Days after which who has not come back will not."""

    def quits(self, place: F64, liked: F64, mood: F64, number: F64) -> F64:
        """(n,) chance that a session ends with what was looked at last."""
        return probability(staying(place, liked, mood, number), self.quit)

    def returns(self, day: F64, liked: F64, length: F64, number: F64) -> F64:
        """(n,) chance that who was not back before comes back on the ``day``-th day."""
        return probability(away(day, liked, length, number), self.back)


Counted = tuple[Bool, F64, Bool, F64]
"""(n,) whether a session ended with a thing, (n, 4) :func:`staying`; (m,) whether who was away came back on a day, (m, 4)
:func:`away`."""


def staying(place: F64, liked: F64, mood: F64, number: F64) -> F64:
    """(n, 4): how many were looked at before in this session, whether this was liked, the mood, sessions before."""
    return np.stack([np.log1p(place), liked, mood, np.log1p(number)], axis=1)


def away(day: F64, liked: F64, length: F64, number: F64) -> F64:
    """(n, 4): days since the session, share of it that was liked, things looked at in it, sessions before."""
    return np.stack([np.log1p(day), liked, np.log1p(length), np.log1p(number)], axis=1)


@dataclass(frozen=True)
class Behaviour:
    """All of it."""

    responses: Responses
    habits: Habits | None
    """None where the log has no times."""


@dataclass(frozen=True)
class Fitting:
    """How behaviour is learned."""

    raters: int = 5
    """M, 2 or more."""
    rater: SvdConfig = field(default_factory=lambda: SvdConfig(width=32))
    pause: timedelta = timedelta(hours=1)
    """Two events further apart are two sessions'."""
    patience: int = 30
    """Days after which who has not come back will not."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.raters < 2 or self.patience < 1 or not self.pause > timedelta(0):
            raise ConfigError(f"Fitting: raters must be 2 or more, patience 1 or more and pause above nothing, got {self}")


def fit(
    log: Interactions,
    vectors: F32,
    liked: float,
    fitting: Fitting | None = None,
    propensity: F64 | None = None,
) -> Behaviour:
    """From ratings, and from their times where they have them.

    ``vectors``: (I, D) of the items. ``liked``: the rating from which on something counts as liked. ``propensity``: (N,) how
    probable each rating was to be given.
    Raises DataError where there are too few ratings, or all or none are liked.
    """
    fitting = fitting or Fitting()
    so = log.value >= liked
    if len(log) < max(_FEWEST, fitting.raters) or so.all() or not so.any() or np.isnan(log.value).any():
        raise DataError(
            f"behaviour: needs {_FEWEST} ratings or more, all with a value, some of {liked:g} or more and some of less; got "
            f"{len(log)} of which {int(so.sum())} are liked; say what is liked"
        )
    share = None if propensity is None else 1.0 / np.maximum(propensity, 1e-3)
    raters, own = _raters(log, fitting)
    centre, spread = float(own.mean()), float(own.std()) or 1.0
    own = (own - centre) / spread
    alone = logistic(own[:, None], so, share=share)
    columns, habits_ = own[:, None], None
    if log.ordered:
        near, before, after = trails(log, vectors, so - probability(own[:, None], alone))
        columns = np.stack([own, near, before], axis=1)
        habits_ = habits(hazards(log, so, after, fitting), fitting)
    people = _people(log, fitting)
    rating = np.stack([(_foretold(rater, people, len(log.items)) - centre) / spread for rater in raters]).astype(np.float32)
    responses = Responses(people, rating, centre, spread, alone, logistic(columns, so, share=share))
    return Behaviour(responses, habits_)


def _raters(log: Interactions, fitting: Fitting) -> tuple[list[Svd], F64]:
    """M raters, and (N,) each rating as foretold by the one that was fitted without it."""
    part = derive(fitting.seed, "behaviour", "parts").permutation(len(log)) % fitting.raters
    raters, own = [], np.zeros(len(log))
    for number in range(fitting.raters):
        held = part == number
        rater = Svd(replace(fitting.rater, seed=fitting.seed * fitting.raters + number))
        rater.fit(log.select(~held), np.zeros((len(log.items), 0), np.float32))
        own[held] = rater.rate(log.user[held], log.item[held])
        raters.append(rater)
    return raters, own


def _people(log: Interactions, fitting: Fitting) -> I64:
    """(P,) the users who rated anything, or as many of them, drawn, as there is room for."""
    some = np.flatnonzero(np.diff(log.offsets))
    room = max(1, _TABLE // (fitting.raters * len(log.items)))
    if len(some) <= room:
        return some
    return np.sort(derive(fitting.seed, "behaviour", "people").choice(some, room, replace=False))


def _foretold(rater: Svd, people: I64, items: int) -> F32:
    """(P, I)"""
    every = np.arange(items)
    return np.stack([rater.rate(np.full(items, user), every) for user in people.tolist()])


def trails(log: Interactions, vectors: F32, surprise: F64) -> tuple[F64, F64, F64]:
    """(N,) nearness and mood before each row, as its user had come to it, and mood after it: (N,) surprises move the mood."""
    trail = Trail(len(log.users), vectors)
    near, before, after = np.zeros((3, len(log)))
    length = np.diff(log.offsets)
    for place in range(int(length.max(initial=0))):
        users = np.flatnonzero(length > place)
        row = log.offsets[users] + place
        near[row] = trail.near(users, log.item[row, None])[:, 0]
        before[row] = trail.mood[users]
        trail.go(users, log.item[row], surprise[row])
        after[row] = trail.mood[users]
    return near, before, after


@dataclass(frozen=True)
class Sessions:
    """Where sessions begin and end; S of them, in the order of the rows."""

    first: I64
    """(S,) row of each one's first event"""
    last: I64
    """(S,) and of its last"""
    number: I64
    """(S,) of each, from 0, among its user's"""
    gap: F64
    """(S,) days until the user's next one, infinite where there is none"""
    open: F64
    """(S,) days until the log ends"""

    @staticmethod
    def of(log: Interactions, pause: timedelta) -> Sessions:
        user, at = log.user, log.at
        same = user[1:] == user[:-1]
        apart = ~same | (np.diff(at) > pause / timedelta(microseconds=1))
        first, last = np.flatnonzero(np.append(True, apart)), np.flatnonzero(np.append(apart, True))
        owner = user[first]
        number = np.arange(len(first)) - np.searchsorted(owner, owner)
        next_ = np.append(owner[1:] == owner[:-1], False)
        gap = np.full(len(first), np.inf)
        gap[next_] = np.maximum(1.0, np.round((at[first[1:]] - at[last[:-1]])[next_[:-1]] / _DAY))
        return Sessions(first, last, number, gap, (at.max() - at[last]) / _DAY)


def habits(counted: Counted, fitting: Fitting) -> Habits | None:
    """From what could have happened; None where no day is known on which anybody could have come back."""
    ends, table, back, times = counted
    return Habits(logistic(table, ends), logistic(times, back), fitting.patience) if len(ends) and len(back) else None


def hazards(log: Interactions, so: Bool, mood: F64, fitting: Fitting, users: Bool | None = None) -> Counted:
    """What happened and when it could have: (n,) ends and (n, 4) :func:`staying`; (m,) returns and (m, 4) :func:`away`.

    ``so``: (N,) what was liked; ``mood``: (N,) after it; ``users``: (U,) whose, or all's. An end is not a cut: a session that
    the log may have broken off has none, and who could still come back when it ends is not known to have stayed away.
    """
    found = Sessions.of(log, fitting.pause)
    of = np.repeat(np.arange(len(found.first)), found.last - found.first + 1)
    place = np.arange(len(log)) - found.first[of]
    mine = np.ones(len(log), np.bool_) if users is None else users[log.user]
    last = np.arange(len(log)) == found.last[of]
    sure = mine & ~(last & (found.open[of] < fitting.pause / timedelta(days=1)))
    table = staying(place.astype(np.float64), so.astype(np.float64), mood, found.number[of].astype(np.float64))[sure]
    ends = last[sure]
    length = (found.last - found.first + 1).astype(np.float64)
    liked = np.bincount(of, so, minlength=len(length)) / length
    known = np.minimum(np.where(np.isfinite(found.gap), found.gap, found.open), fitting.patience).astype(np.int64)
    known = np.where(mine[found.first], known, 0)
    if (some := np.flatnonzero(known)).size > _SESSIONS:
        kept = derive(fitting.seed, "behaviour", "sessions").choice(some, _SESSIONS, replace=False)
        known = np.where(np.isin(np.arange(len(known)), kept), known, 0)
    session = np.repeat(np.arange(len(length)), known)
    day = np.arange(len(session)) - np.repeat(np.cumsum(known) - known, known) + 1
    back = day == found.gap[session]
    times = away(day.astype(np.float64), liked[session], length[session], found.number[session].astype(np.float64))
    return ends, table, back, times
