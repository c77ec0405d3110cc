"""How well scores rank held-out events: the full catalogue, never sampled negatives, seen items left out.

Sampled negatives change which model wins (Krichene and Rendle, KDD 2020), so there are none. A tie is no luck: a
target that shares its score with others counts as standing at each of their places equally often, so that a model
which says nothing is worth what chance is worth. Numbers are kept per user, for users are what intervals are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError, DataError, ShapeError
from longgame.evaluation.intervals import Estimate, bootstrap
from longgame.retrieval.everybody import best_of_each
from longgame.types import F32, F64, I64, Bool

Metric = Literal["recall", "ndcg", "mrr", "hit"]
METRICS: tuple[Metric, ...] = ("recall", "ndcg", "mrr", "hit")


class Scorer(Protocol):
    """All that ranking asks of a model."""

    def score(self, histories: I64) -> F32:
        """(B, T) positions, oldest first, -1 padding -> (B, I)."""


@dataclass(frozen=True)
class RankingResult:
    """One model's ranking of each user's held-out items; n users have some that can be ranked, m items in all."""

    k: int
    users: I64
    """(n,) positions of the users in the log"""
    recall: F64
    """(n,) share of the held-out items among the first k; with one item a user this is the hit rate"""
    ndcg: F64
    """(n,) discounted gain of the first k, as a share of the best possible"""
    mrr: F64
    """(n,) one over the place of the first held-out item, however far down"""
    hit: F64
    """(n,) 1 where a held-out item is among the first k"""
    lists: I64
    """(n, k') positions of the first k' = min(k, I) unseen items, best first, -1 where there are fewer; of equals the
    first in the catalogue, so that here a tie is decided"""
    row: I64
    """(m,) which of the n users each held-out item is of"""
    item: I64
    """(m,) its position"""
    found: F64
    """(m,) 1 where it is among the first k"""
    catalogue: int
    """I"""

    @property
    def coverage(self) -> float:
        """Share of the catalogue that is among some user's first k."""
        return len(np.unique(self.lists[self.lists >= 0])) / max(1, self.catalogue)

    def column(self, metric: Metric) -> F64:
        """(n,)"""
        values: dict[Metric, F64] = {"recall": self.recall, "ndcg": self.ndcg, "mrr": self.mrr, "hit": self.hit}
        return values[metric]


@dataclass(frozen=True)
class Seeds:
    """One metric of one model trained with several seeds."""

    estimate: Estimate
    """Of the mean over seeds of each user's value; the interval is over users, for these seeds."""
    spread: float
    """Standard deviation between the seeds' means; 0 for one run."""


def evaluate_model(model: Scorer, train: Interactions, target: Interactions, k: int = 10, batch: int = 256) -> RankingResult:
    """Rank each user's items of ``target`` among all that are not in their ``train`` history.

    Users without an event in ``target`` have no value, nor have those whose targets were all seen before. An item
    held out twice counts once.
    """
    if k < 1 or batch < 1:
        raise ConfigError(f"evaluate_model: k and batch must be 1 or more, got k={k} and batch={batch}")
    if train.users != target.users or train.items != target.items:
        raise DataError("evaluate_model: train and target must have the same users and items, as evaluation.splits makes them")
    parts = [_no_part(min(k, len(train.items)))]
    asked = np.flatnonzero(np.diff(target.offsets))
    for first in range(0, len(asked), batch):
        parts.append(_part(model, train, target, asked[first : first + batch], k))
    counts = np.cumsum([0, *(len(part.users) for part in parts)])
    row = np.concatenate([part.row + before for part, before in zip(parts, counts, strict=False)])
    users, values, lists, item, found = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("users", "values", "lists", "item", "found")
    )
    recall, ndcg, mrr, hit = values.T.copy()
    return RankingResult(k, users, recall, ndcg, mrr, hit, lists, row, item, found, len(train.items))


@dataclass(frozen=True)
class _Part:
    """Some users of a :class:`RankingResult`."""

    users: I64
    values: F64
    """(n, 4): recall, NDCG, reciprocal rank and hit"""
    lists: I64
    row: I64
    item: I64
    found: F64


def _no_part(k: int) -> _Part:
    nothing = np.zeros(0, np.int64)
    return _Part(nothing, np.zeros((0, len(METRICS))), np.zeros((0, k), np.int64), nothing, nothing, np.zeros(0))


def _part(model: Scorer, train: Interactions, target: Interactions, users: I64, k: int) -> _Part:
    histories = train.padded(users)
    relevant = _marks(target.padded(users), len(train.items))
    seen = _marks(histories, len(train.items))
    relevant &= ~seen
    some = relevant.any(axis=1)
    scores, relevant, seen = model.score(histories)[some], relevant[some], seen[some]
    values, found = _ranked(scores, relevant, seen, k)
    row, item = np.nonzero(relevant)
    hidden = np.where(seen, np.float32(-np.inf), scores)
    size = min(k, scores.shape[1])
    lists = best_of_each(hidden, size) if size else np.zeros((len(scores), 0), np.int64)
    return _Part(users[some], values, lists, row, item, found)


def _ranked(scores: F32, relevant: Bool, seen: Bool, k: int) -> tuple[F64, F64]:
    """(B, I) each, at least one relevant item a row and none of them seen -> (B, 4), the ``METRICS`` in their order, and (m,)
    whether each relevant item is among the first k: expectations over a random order of equal scores.

    Raises ShapeError where a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ShapeError("evaluate_model: every score must be finite, got nan or inf; the model is broken")
    scores = np.where(seen, np.float32(-np.inf), scores)
    gain, harmonic = _sums(scores.shape[1], k)
    row, column = np.nonzero(relevant)
    own, count = scores[row, column], relevant.sum(axis=1)
    above, equal = np.empty(len(row), np.int64), np.empty(len(row), np.int64)
    for first in range(0, len(row), 512):  # one row of comparisons per relevant item: bounded where there are many
        part = slice(first, first + 512)
        others = scores[row[part]]
        above[part] = (others > own[part, None]).sum(axis=1)
        equal[part] = (others == own[part, None]).sum(axis=1)
    found = np.clip((k - above) / equal, 0.0, 1.0)
    gained = (gain[above + equal] - gain[above]) / equal
    best = gain[np.minimum(count, k)]
    recall = np.bincount(row, found, minlength=len(count)) / count
    ndcg = np.bincount(row, gained, minlength=len(count)) / best
    mrr = _first_reciprocal(row, above, equal, len(count), harmonic)
    return np.stack([recall, ndcg, mrr, _hit(row, above, equal, len(count), k)], axis=1), found


def _hit(row: I64, above: I64, equal: I64, rows: int, k: int) -> F64:
    """(rows,) the chance that a relevant item is among the first k, from each relevant item's tie.

    One tie a row can lie across the k-th place. That none of its m relevant items is among the s places left, of e equals:
    C(e-m, s) / C(e, s).
    """
    out, missed, met = np.zeros(rows), np.ones(rows), np.zeros(rows)
    out[row[above + equal <= k]] = 1.0
    across = np.flatnonzero((above < k) & (above + equal > k))
    for entry in across.tolist():
        r, e, s = row[entry], int(equal[entry]), k - int(above[entry])
        missed[r] *= max(0.0, (e - s - met[r]) / (e - met[r]))
        met[r] += 1
    hit: F64 = np.maximum(out, 1 - missed)
    return hit


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
