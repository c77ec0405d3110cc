"""Every number has an error: the estimate all evaluation returns, and the bootstrap most of them use."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from longgame.errors import ConfigError
from longgame.types import F64


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
