"""Every number has an error: the estimate all evaluation returns, and the bootstrap most of them use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from longgame.errors import ConfigError
from longgame.types import F64, I64


@dataclass(frozen=True)
class Estimate:
    """A number and where the truth lies with the confidence it was made for."""

    value: float
    low: float
    high: float
    n: int
    """Observations it rests on."""
    effective_n: float
    """Kish's effective number: how many unweighted observations would tell as much. ``n`` where nothing is weighted."""

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap(values: F64, rng: np.random.Generator, confidence: float = 0.95, draws: int = 1000) -> Estimate:
    """The mean of ``values`` (N,), one an independent unit (a user, a seed), with a percentile bootstrap interval.

    NaN values are units on which the number is not defined and are left out; with none left all numbers are NaN.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"bootstrap: confidence must lie in (0, 1), got {confidence}")
    values = values[~np.isnan(values)]
    n = len(values)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, 0.0)
    # Resampling n of n with replacement is drawing counts: a (draws, n) matrix would not fit for a million users.
    means = np.array([values[rng.integers(n, size=n)].mean() for _ in range(draws)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(values.mean()), float(low), float(high), n, float(n))


def crossed(values: F64, rng: np.random.Generator, confidence: float = 0.95, draws: int = 1000) -> Estimate:
    """The mean of ``values`` (S, N), of S seeds by N users, with a percentile bootstrap interval over both together.

    Each draw takes N of the users and, independently, S - 1 of the seeds (Owen, "The pigeonhole bootstrap", Annals of Applied
    Statistics 2007, for crossed effects; S - 1 after Rao and Wu, JASA 1988, for drawing S of S makes the part of the variance
    that is between seeds too small by (S - 1) / S, a third with three). With one seed it is over users alone, and
    says nothing of other seeds. NaN values are left out; ``n`` counts the users with any.
    """
    return crossed_gap(values, np.zeros((1, values.shape[1])), rng, confidence, draws)


def crossed_gap(own: F64, other: F64, rng: np.random.Generator, confidence: float = 0.95, draws: int = 1000) -> Estimate:
    """The mean of ``own`` (S, N) less that of ``other`` (T, N), on the same N users, with an interval as :func:`crossed` has.

    Each draw takes the same users of both, so it is paired, and seeds of each apart: they are not the same draws of anything.
    Users who are NaN in all of either's seeds are left out.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"crossed: confidence must lie in (0, 1), got {confidence}")
    both = ~np.isnan(own).all(axis=0) & ~np.isnan(other).all(axis=0)
    sides = [_Side.of(values[:, both]) for values in (own, other)]
    n = int(both.sum())
    if n == 0 or not len(own) or not len(other):
        return Estimate(np.nan, np.nan, np.nan, 0, 0.0)
    gaps = np.empty(draws)
    for draw in range(draws):
        drawn = _users(n, rng)
        gaps[draw] = sides[0].mean(drawn, _seeds(len(own), rng)) - sides[1].mean(drawn, _seeds(len(other), rng))
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(gaps, [tail, 1 - tail])
    return Estimate(float(np.nanmean(own[:, both]) - np.nanmean(other[:, both])), float(low), float(high), n, float(n))


def crossed_ratio(above: F64, below: F64, rng: np.random.Generator, confidence: float = 0.95, draws: int = 1000) -> Estimate:
    """The mean of ``above`` (S, N) over that of ``below`` (S, N), of the same seeds and users, with an interval as
    :func:`crossed` has: each draw takes the same users and the same seeds of both.

    A user may be NaN in either. Draws in which ``below`` comes to 0 say nothing and are left out.
    """
    if above.shape != below.shape:
        raise ConfigError(f"crossed_ratio: both must be of the same seeds and users, got {above.shape} and {below.shape}")
    some = ~np.isnan(above).all(axis=0) | ~np.isnan(below).all(axis=0)
    sides = [_Side.of(values[:, some]) for values in (above, below)]
    n, seeds = int(some.sum()), len(above)
    if n == 0 or not seeds:
        return Estimate(np.nan, np.nan, np.nan, 0, 0.0)

    def ratio(drawn: F64, which: I64) -> float:
        top, bottom = (side.mean(drawn, which) for side in sides)
        return top / bottom if bottom > 0 else np.nan

    found = np.array([ratio(_users(n, rng), _seeds(seeds, rng)) for _ in range(draws)])
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail]) if not np.isnan(found).all() else (np.nan, np.nan)
    return Estimate(ratio(np.ones(n), np.arange(seeds)), float(low), float(high), n, float(n))


def _users(count: int, rng: np.random.Generator) -> F64:
    """(N,) how often each is drawn, of N draws."""
    return np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)


def _seeds(count: int, rng: np.random.Generator) -> I64:
    return rng.integers(count, size=max(1, count - 1))


@dataclass(frozen=True)
class _Side:
    """(2 S, N) sums above counts: a draw's mean is their product with how often each user was drawn."""

    held: F64

    @staticmethod
    def of(values: F64) -> _Side:
        there = ~np.isnan(values)
        return _Side(np.concatenate([np.where(there, values, 0.0), there]))

    def mean(self, drawn: F64, some: I64) -> float:
        """Over users as often as they were drawn (N,) and the seeds ``some``."""
        seeds = len(self.held) // 2
        both = self.held @ drawn
        count = both[seeds:][some].sum()
        return float(both[:seeds][some].sum() / count) if count else np.nan


def sign_flip(differences: F64, rng: np.random.Generator, draws: int = 10_000) -> float:
    """The two-sided p of a paired randomisation test that ``differences`` (N,), one a user, are symmetric about 0.

    Under that hypothesis each sign could as well be the other (Smucker et al., CIKM 2007, who find it the test to prefer
    over Wilcoxon's and the sign test for rankings). The share of random signs whose sum is as far from 0 as the one seen,
    that one counted in (Phipson and Smyth, 2010): no p is below 1 / (draws + 1). NaN and zero differences move no sum and
    are left out.
    """
    moved = differences[~np.isnan(differences) & (differences != 0)]
    n = len(moved)
    if n == 0:
        return 1.0
    # Sums in another order differ in their last digits; what ties with the sum seen must count as far.
    seen = abs(float(moved.sum())) - 1e-9 * float(np.abs(moved).sum())
    far, chunk = 0, max(1, 4_000_000 // n)
    for first in range(0, draws, chunk):
        rows = min(chunk, draws - first)
        signs = np.unpackbits(rng.integers(256, size=(rows, -(-n // 8)), dtype=np.uint8), axis=1, count=n)
        sums = 2 * (signs.astype(np.float64) @ moved) - moved.sum()
        far += int((np.abs(sums) >= seen).sum())
    return (far + 1) / (draws + 1)


def holm(p: Sequence[float]) -> list[float]:
    """Each of the p values corrected for there being several, in the order given (Holm, 1979): step-down, at most 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    out, largest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        out[place] = largest
    return out


def over_seeds(values: F64, confidence: float = 0.95) -> Estimate:
    """The mean over seeds (S,) with Student's t interval; infinitely wide for one seed."""
    from scipy.stats import t

    n = len(values)
    half = float(t.ppf(0.5 + confidence / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
    mean = float(values.mean())
    return Estimate(mean, mean - half, mean + half, n, float(n))


def normal(value: float, stderr: float, n: int, effective_n: float, confidence: float = 0.95) -> Estimate:
    """A large-sample interval round an estimate with a known standard error."""
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * stderr
    return Estimate(value, value - half, value + half, n, effective_n)
