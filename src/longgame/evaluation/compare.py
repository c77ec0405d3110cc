"""Runs -> the honest table: every metric with its interval, by history length, by popularity, and against the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from typing import Any

import numpy as np

from longgame.errors import DataError, LonggameError
from longgame.evaluation import beyond
from longgame.evaluation.intervals import Estimate, bootstrap, crossed, crossed_gap, holm, over_seeds, sign_flip
from longgame.evaluation.ranking import RankingResult
from longgame.evaluation.runs import Bench, Entry, Run, Runs
from longgame.evaluation.table import ACCURACY, METRICS, Bucket, Comparison, RankingTable, Row
from longgame.rng import derive
from longgame.types import F32, F64, I64

BASELINES = ("popularity", "item-knn", "ease")
"""In every table, unasked: published LLM and RL recommenders lose to the last two, tuned."""
TESTED = ("recall", "ndcg")
"""Metrics that models are compared by."""
_LENGTHS = (0, 1, 3, 6, 11, 21, 51, 101, 201)
"""Events in the history at which another bucket of users begins."""
_COUNTS = (0, 1, 5, 20, 100, 500, 2500)
"""Events of an item at which another bucket of held-out items begins; the first is of new items."""


@dataclass(frozen=True)
class About:
    """What is said of the data beside the log."""

    data: str
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What users are told apart by -> the group of each user of the log, "" where it is not known."""
    mix: F32 | None = None
    """(I, G) share of each item in what lists are mixed of (genres); None: thirds of the catalogue by popularity."""


def compare(
    bench: Bench, entries: Sequence[Entry], runs: Runs, about: About, pairs: Sequence[tuple[str, str]] = ()
) -> RankingTable:
    """The table of ``entries``, each tested against the best baseline, and the first of each of ``pairs`` against the second.

    Raises DataError where no user can be ranked, or nothing could be fitted.
    """
    done = {name: found for name, found in runs.items() if not isinstance(found, LonggameError)}
    if not done:
        raise DataError("evaluate: no model could be fitted: " + "; ".join(f"{name}: {why}" for name, why in runs.items()))
    first = next(iter(done.values()))[0].result
    if not len(first.users):
        raise DataError(
            f"evaluate: ranking needs a user with a held-out event on an item that was new to them ({bench.split.label}); "
            f"got none among {len(bench.before.users):,} users; import or serve more"
        )
    look = _Look(bench, about, first)
    popular = done.get("popularity")
    primitive = popular[0].result.lists if popular else None
    rows = []
    for entry in entries:
        found = runs[entry.name]
        rows.append(_failed(entry, str(found)) if isinstance(found, LonggameError) else look.row(entry, found, primitive))
    split, log = bench.split, bench.before
    comparisons = _comparisons(entries, done, pairs)
    newcomers = int((~look.acquainted).sum())
    sizes = bench.k, len(first.users), newcomers, len(log.items), len(log)
    return RankingTable(about.data, split.label, *sizes, tuple(rows), tuple(comparisons))


def _against(
    entries: Sequence[Entry], done: Mapping[str, Sequence[Run]], pairs: Sequence[tuple[str, str]], metric: Any
) -> list[tuple[str, str]]:
    """Who is tested against whom: every model that is no baseline against the baseline that is best by this metric."""
    plain = [entry.name for entry in entries if entry.baseline and entry.name in done]
    best = max(plain, key=lambda name: float(_mean(done[name], metric).mean()), default=None)
    out = [(e.name, best) for e in entries if best is not None and not e.baseline and e.name in done]
    return out + [pair for pair in pairs if pair not in out and set(pair) <= done.keys()]


def _comparisons(
    entries: Sequence[Entry], done: Mapping[str, Sequence[Run]], pairs: Sequence[tuple[str, str]]
) -> list[Comparison]:
    """Paired over users; the interval is over seeds too, the p of these runs. Holm's correction within a metric."""
    out = []
    for metric in TESTED:
        against = _against(entries, done, pairs, metric)
        gaps = [_mean(done[model], metric) - _mean(done[other], metric) for model, other in against]
        p = [sign_flip(gap, derive(0, "sign flips", metric, *pair)) for gap, pair in zip(gaps, against, strict=True)]
        for (model, other), one, corrected in zip(against, p, holm(p), strict=True):
            estimate = crossed_gap(
                _stack(done[model], metric), _stack(done[other], metric), derive(0, "gap", metric, model, other)
            )
            out.append(Comparison(model, other, metric, estimate, one, corrected))
    return out


def _stack(runs: Sequence[Run], metric: Any) -> F64:
    """(S, n) of each seed and user."""
    return np.stack([run.result.column(metric) for run in runs])


def _mean(runs: Sequence[Run], metric: Any) -> F64:
    """(n,) of each user over the seeds."""
    out: F64 = _stack(runs, metric).mean(axis=0)
    return out


def _failed(entry: Entry, why: str) -> Row:
    return Row(entry.name, entry.title, 0, 0.0, 0, {}, None, {}, (), {}, _config(entry), why)


def _config(entry: Entry) -> dict[str, Any]:
    return asdict(entry.config) if is_dataclass(entry.config) and not isinstance(entry.config, type) else {}


class _Look:
    """What all models' lists are looked at with: made once, for it is of the data and not of a model."""

    def __init__(self, bench: Bench, about: About, first: RankingResult) -> None:
        self.log, self.features, self.users = bench.before, bench.features, first.users
        self.count = np.bincount(self.log.item, minlength=len(self.log.items))
        self.mix = about.mix
        length = np.diff(self.log.offsets)[self.users]
        self.acquainted = length > 0
        self.groups = {"history length": _labels(length, _LENGTHS, "events")}
        for name, values in about.groups.items():
            label = np.array(values)[self.users]
            self.groups[name] = (label, sorted(set(label.tolist()) - {""}))
        self.popularity = _labels(self.count[first.item], _COUNTS, "events", "new")

    def row(self, entry: Entry, runs: Sequence[Run], primitive: I64 | None) -> Row:
        results = [run.result for run in runs]
        metrics = {metric: self._accuracy(entry, results, metric) for metric in ACCURACY}
        if not self.acquainted.all() and self.acquainted.any():
            known = np.stack([result.ndcg[self.acquainted] for result in results])
            metrics["acquainted"] = crossed(known, derive(0, "crossed", entry.name))
        metrics |= self._beyond(entry, results, primitive)
        means = np.array([float(result.ndcg.mean()) for result in results])
        ndcg = np.mean([result.ndcg for result in results], axis=0)
        found = np.mean([result.found for result in results], axis=0)
        groups = {name: _buckets(ndcg, *told, entry.name, name) for name, told in self.groups.items()}
        gaps = {
            name: gap
            for name, (label, _) in self.groups.items()
            if (gap := beyond.group_gap(ndcg, label, derive(0, "group gap", entry.name, name))) is not None
        }
        return Row(
            entry.name,
            entry.title,
            len(runs),
            float(np.mean([run.seconds for run in runs])),
            max(run.numbers for run in runs),
            {name: metrics[name] for name in METRICS if name in metrics},
            float(means.std(ddof=1)) if len(means) > 1 else None,
            groups,
            _buckets(found, *self.popularity, entry.name, "popularity"),
            gaps,
            _config(entry),
        )

    def _accuracy(self, entry: Entry, results: Sequence[RankingResult], metric: Any) -> Estimate:
        values = np.stack([result.column(metric) for result in results])
        return crossed(values, derive(0, "crossed", entry.name))  # the same users for every metric: equal figures, equal errors

    def _beyond(self, entry: Entry, results: Sequence[RankingResult], primitive: I64 | None) -> dict[str, Estimate]:
        """Metrics of the lists; those that say nothing here (no texts, no popularity to compare with) are left out."""
        catalogue: dict[str, list[float]] = {"coverage": [], "gini": []}
        each: dict[str, list[F64]] = {}
        for result in results:
            lists = result.lists
            catalogue["coverage"].append(result.coverage)
            catalogue["gini"].append(beyond.gini(lists, len(self.count)))
            values = {
                "novelty": beyond.novelty(lists, self.count),
                "popularity lift": beyond.popularity_lift(lists, self.log, self.users),
                "calibration": beyond.calibration(lists, self.log, self.users, self.mix),
            }
            if self.features.any():
                values["diversity"] = beyond.diversity(lists, self.features)
            if primitive is not None:
                values["serendipity"] = beyond.serendipity(lists, hits(result), primitive)
            for name, value in values.items():
                each.setdefault(name, []).append(value)
        out = {name: _of_seeds(np.array(values)) for name, values in catalogue.items()}
        return out | {n: crossed(np.stack(v), derive(0, "crossed", entry.name, n)) for n, v in each.items()}


def hits(result: RankingResult) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n, k') where an item of a list is a held-out one of its user."""
    size = result.catalogue + 1
    wanted = result.row * size + result.item
    place = np.arange(len(result.lists))[:, None] * size + result.lists
    return np.isin(place, wanted) & (result.lists >= 0)


def _of_seeds(values: F64) -> Estimate:
    """A share of all users together. Its interval is over seeds, within [0, 1]; of fewer than three it has none."""
    if len(values) < 3:
        value = float(values.mean())
        return Estimate(value, value, value, len(values), float(len(values)))
    found = over_seeds(values)
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def _labels(number: I64, bounds: Sequence[int], unit: str, zero: str = "") -> tuple[np.ndarray[Any, Any], list[str]]:
    """(n,) numbers -> the label of the bucket that each lies in, and the labels there are, in order."""
    names = []
    for low, high in zip(bounds, [*bounds[1:], None], strict=True):
        if high is None:
            names.append(f"{low}+ {unit}")
        else:
            names.append((zero or f"{low} {unit}") if low == high - 1 else f"{low} to {high - 1} {unit}")
    place = np.searchsorted(np.array(bounds), number, side="right") - 1
    label = np.array(names)[place]
    return label, [name for i, name in enumerate(names) if (place == i).any()]


def _buckets(values: F64, label: np.ndarray[Any, Any], labels: Sequence[str], *purpose: str) -> tuple[Bucket, ...]:
    """The mean of each label's values, with a bootstrap interval."""
    out = []
    for name in labels:
        own = values[label == name]
        out.append(Bucket(name, len(own), bootstrap(own, derive(0, "bucket", name, *purpose))))
    return tuple(out)
