"""How well scores rank held-out events: the full catalogue, never sampled negatives, seen items left out.

Sampled negatives change which model wins (Krichene and Rendle, KDD 2020), so there are none. A tie is no luck: a
target that shares its score with others counts as standing at each of their places equally often, so that a model
which says nothing is worth what chance is worth. Numbers are kept per user, for users are what intervals are made of.

Splitting each user's own history leaves other users' later events in training: such a split compares models, and says
little about what one of them would have done live. That is what the log of decisions is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError, DataError, ShapeError
from longgame.evaluation.intervals import Estimate, bootstrap
from longgame.shapes import check
from longgame.types import F32, F64, I64, Bool

Metric = Literal["recall", "ndcg", "mrr"]
METRICS: tuple[Metric, ...] = ("recall", "ndcg", "mrr")


class Scorer(Protocol):
    """All that ranking asks of a model."""

    def score(self, histories: I64) -> F32:
        """(B, T) positions, oldest first, -1 padding -> (B, I)."""


@dataclass(frozen=True)
class RankingResult:
    """One model's ranking of each user's held-out items; n users have some that can be ranked."""

    k: int
    users: I64
    """(n,) positions of the users in the log"""
    recall: F64
    """(n,) share of the held-out items among the first k; with one item a user this is the hit rate"""
    ndcg: F64
    """(n,) discounted gain of the first k, as a share of the best possible"""
    mrr: F64
    """(n,) one over the place of the first held-out item, however far down"""
    coverage: float
    """Share of the catalogue that is among some user's first k. Ties are decided arbitrarily here."""

    def estimate(self, metric: Metric, rng: np.random.Generator) -> Estimate:
        """The mean over users with a bootstrap interval over users."""
        return bootstrap(self.column(metric), rng)

    def column(self, metric: Metric) -> F64:
        """(n,)"""
        values: dict[Metric, F64] = {"recall": self.recall, "ndcg": self.ndcg, "mrr": self.mrr}
        return values[metric]


@dataclass(frozen=True)
class Seeds:
    """One metric of one model trained with several seeds."""

    estimate: Estimate
    """Of the mean over seeds of each user's value; the interval is over users, for these seeds."""
    spread: float
    """Standard deviation between the seeds' means; 0 for one run."""


def leave_last_out(log: Interactions) -> tuple[Interactions, Interactions, Interactions]:
    """Train, validation and test: of each user with three events or more the last is test, the one before validation.

    Chronological per user; events of one moment stand in the log's own order. Users with fewer only train.
    """
    bounds = log.offsets[1:][np.diff(log.offsets) >= 3]
    part = np.zeros(len(log), np.int64)
    part[bounds - 2], part[bounds - 1] = 1, 2
    return log.select(part == 0), log.select(part == 1), log.select(part == 2)


def together(first: Interactions, second: Interactions) -> Interactions:
    """Rows of both, per user in order of time; of one moment, ``first`` stands first. Same users and items in both."""
    if first.users != second.users or first.items != second.items:
        raise DataError("together: both logs must have the same users and items; make both from one with Interactions.select")
    user, at = np.concatenate([first.user, second.user]), np.concatenate([first.at, second.at])
    order = np.lexsort((at, user))
    item, value = np.concatenate([first.item, second.item]), np.concatenate([first.value, second.value])
    return Interactions(first.users, first.items, first.offsets + second.offsets, item[order], at[order], value[order])


def padded_histories(log: Interactions, users: I64) -> I64:
    """As :meth:`longgame.arrays.Interactions.padded`."""
    return log.padded(users)


def evaluate_model(model: Scorer, train: Interactions, target: Interactions, k: int = 10, batch: int = 256) -> RankingResult:
    """Rank each user's items of ``target`` among all that are not in their ``train`` history.

    Users without an event in ``target`` have no value, nor have those whose targets were all seen before. An item
    held out twice counts once.
    """
    if k < 1 or batch < 1:
        raise ConfigError(f"evaluate_model: k and batch must be 1 or more, got k={k} and batch={batch}")
    if train.users != target.users or train.items != target.items:
        raise DataError("evaluate_model: train and target must have the same users and items, as leave_last_out makes them")
    columns: list[F64] = []
    kept: list[I64] = []
    shown = np.zeros(len(train.items), np.bool_)
    asked = np.flatnonzero(np.diff(target.offsets))
    for first in range(0, len(asked), batch):
        users = asked[first : first + batch]
        histories = padded_histories(train, users)
        relevant = _marks(padded_histories(target, users), len(train.items))
        seen = _marks(histories, len(train.items))
        scores = model.score(histories)
        some = (relevant & ~seen).any(axis=1)
        columns.append(rank_metrics(scores[some], relevant[some], seen[some], k))
        shown |= _top(scores[some], seen[some], k)
        kept.append(users[some])
    values = np.concatenate([np.zeros((0, 3)), *columns])
    coverage = float(shown.mean()) if len(shown) else 0.0
    recall, ndcg, mrr = values.T.copy()
    return RankingResult(k, np.concatenate([np.zeros(0, np.int64), *kept]), recall, ndcg, mrr, coverage)


def rank_metrics(scores: F32, relevant: Bool, seen: Bool, k: int) -> F64:
    """(B, I) each, and at least one relevant unseen item a row -> (B, 3): recall@k, NDCG@k and reciprocal rank.

    Each is the expectation over a random order of equal scores. Raises ShapeError where a score is not finite.
    """
    sizes = check({}, ("scores", scores, "B I"), ("relevant", relevant, "B I"), ("seen", seen, "B I"))
    if not np.isfinite(scores).all():
        raise ShapeError("rank_metrics: every score must be finite, got nan or inf; the model is broken")
    relevant = relevant & ~seen
    scores = np.where(seen, np.float32(-np.inf), scores)
    gain, harmonic = _sums(sizes["I"], k)
    row, column = np.nonzero(relevant)
    own, count = scores[row, column], relevant.sum(axis=1)
    above, equal = np.empty(len(row), np.int64), np.empty(len(row), np.int64)
    for first in range(0, len(row), 512):  # one row of comparisons per relevant item: bounded where there are many
        part = slice(first, first + 512)
        others = scores[row[part]]
        above[part] = (others > own[part, None]).sum(axis=1)
        equal[part] = (others == own[part, None]).sum(axis=1)
    hit = np.clip((k - above) / equal, 0.0, 1.0)
    gained = (gain[above + equal] - gain[above]) / equal
    best = gain[np.minimum(count, k)]
    recall = np.bincount(row, hit, minlength=len(count)) / count
    ndcg = np.bincount(row, gained, minlength=len(count)) / best
    return np.stack([recall, ndcg, _first_reciprocal(row, above, equal, len(count), harmonic)], axis=1)


def _first_reciprocal(row: I64, above: I64, equal: I64, rows: int, harmonic: F64) -> F64:
    """(rows,) expected one over the place of the first relevant item, from each relevant item's tie."""
    first = np.full(rows, np.iinfo(np.int64).max)
    np.minimum.at(first, row, above)
    leading = above == first[row]
    size = np.zeros(rows, np.int64)
    size[row[leading]] = equal[leading]
    many = np.bincount(row[leading], minlength=rows)
    out: F64 = (harmonic[first + size] - harmonic[first]) / size
    for i in np.flatnonzero(many > 1).tolist():  # the first of m among e equals: P(at place r) = C(e-1-r, m-1) / C(e, m)
        left, m = int(size[i]), int(many[i])
        unmet, total = 1.0, 0.0
        for place in range(left - m + 1):
            here = m / (left - place)
            total += unmet * here / (first[i] + place + 1)
            unmet *= 1 - here
        out[i] = total
    return out


def _sums(items: int, k: int) -> tuple[F64, F64]:
    """(I+1,), (I+1,): sums over the first places of the discounted gain, which ends at k, and of one over the place."""
    place = np.arange(1, items + 1)
    gain = np.where(place <= k, 1 / np.log2(place + 1), 0.0)
    return np.append(0.0, np.cumsum(gain)), np.append(0.0, np.cumsum(1 / place))


def _marks(positions: I64, items: int) -> Bool:
    """(B, T), -1 padding -> (B, I) True where a position occurs."""
    out = np.zeros((len(positions), items), np.bool_)
    row, column = np.nonzero(positions >= 0)
    out[row, positions[row, column]] = True
    return out


def _top(scores: F32, seen: Bool, k: int) -> Bool:
    """(I,) True for items among the first k unseen ones of some row."""
    out = np.zeros(scores.shape[1], np.bool_)
    k = min(k, scores.shape[1])
    if not len(scores) or not k:
        return out
    hidden = np.where(seen, np.float32(-np.inf), scores)
    best = np.argpartition(hidden, -k, axis=1)[:, -k:]
    out[best[np.take_along_axis(~seen, best, axis=1)]] = True
    return out


def difference(first: RankingResult, second: RankingResult, metric: Metric, rng: np.random.Generator) -> Estimate:
    """``first`` less ``second``, paired: users are drawn, and both models keep the users drawn."""
    _same_users([first, second])
    return bootstrap(first.column(metric) - second.column(metric), rng)


def over_runs(runs: Sequence[RankingResult], metric: Metric, rng: np.random.Generator) -> Seeds:
    """One model trained with several seeds: each user's mean over the seeds, users bootstrapped, and the spread.

    The interval is of these seeds' average and says how much the users matter; the spread says how much a seed does.
    """
    _same_users(runs)
    values = np.stack([run.column(metric) for run in runs])  # (S, n)
    means = values.mean(axis=1)
    return Seeds(bootstrap(values.mean(axis=0), rng), float(means.std(ddof=1)) if len(runs) > 1 else 0.0)


def _same_users(runs: Sequence[RankingResult]) -> None:
    if not runs or any(not np.array_equal(run.users, runs[0].users) or run.k != runs[0].k for run in runs):
        raise DataError("ranking: results to be joined must be of the same users, target and k")
