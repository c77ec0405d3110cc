"""The honest table: models side by side on the same held-out events, baselines among them, every number with an error.

It fits and judges; which models, on which log, and with which configs is the caller's. What comes out is plain values that
``commands`` prints and ``report`` draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from longgame.evaluation.intervals import Estimate


@dataclass(frozen=True)
class Bucket:
    """A share of the users or of the held-out events, and how they were ranked."""

    label: str
    count: int
    """Users, or held-out events."""
    estimate: Estimate


@dataclass(frozen=True)
class Row:
    """One model."""

    name: str
    title: str
    seeds: int
    """Runs whose mean the figures are."""
    seconds: float
    """To fit one of them, on average."""
    numbers: int
    """Floating-point numbers that a fitted one holds."""
    metrics: Mapping[str, Estimate]
    """Metric (``METRICS``) -> its mean, with an interval over users and seeds together."""
    spread: float | None
    """Standard deviation of the NDCG between the seeds; None for one."""
    groups: Mapping[str, tuple[Bucket, ...]]
    """What users are told apart by ("history length", an attribute) -> NDCG of each group."""
    popularity: tuple[Bucket, ...]
    """Recall of held-out events by how popular their item was in training, the least popular first; the first bucket,
    "new", are items without an event."""
    gap: Mapping[str, Estimate]
    """What users are told apart by -> NDCG of the best served group less that of the worst served."""
    config: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    """Why there are no figures, where it could not be fitted."""


@dataclass(frozen=True)
class Comparison:
    """One model against the best baseline, on the same users."""

    model: str
    against: str
    metric: str
    gap: Estimate
    """The model's mean less the baseline's, with a bootstrap interval, paired over users, over the seeds of both too."""
    p: float
    """Two-sided, by sign flips of the users' differences between the means of the seeds: of these runs, not of others."""
    holm: float
    """The same after Holm's correction for all comparisons of the metric in the table."""


@dataclass(frozen=True)
class RankingTable:
    """What is known of the models on one split."""

    data: str
    split: str
    """How the events were held out, in words."""
    k: int
    users: int
    """Users ranked."""
    newcomers: int
    """Of them, those without an event before the test: all that a model can give them is what everybody gets."""
    items: int
    """In the catalogue."""
    events: int
    """Events that the models were fitted on."""
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON's own types."""
        return asdict(self)


METRICS: Mapping[str, str] = {
    "recall": "share of the held-out items among the first k",
    "ndcg": "discounted gain of the first k",
    "mrr": "one over the place of the first held-out item",
    "hit": "users with a held-out item among the first k",
    "acquainted": "ndcg of the users who had an event before the test; where all had one it is left out",
    "coverage": "share of the catalogue that is shown to somebody",
    "diversity": "mean distance of the texts within a list",
    "novelty": "mean bits of surprise of what is shown",
    "gini": "inequality of exposure between items, 0 even, 1 all on one",
    "popularity lift": "how much more popular what is shown is than what the user took, in percentiles",
    "calibration": "distance of a list's mix from the history's, 0 the same",
    "serendipity": "share of the list that is wanted and not what everybody gets",
}
"""Metric -> what it says, in the order of the table."""
ACCURACY: Sequence[str] = ("recall", "ndcg", "mrr", "hit")
