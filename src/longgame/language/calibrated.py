"""Scores -> probabilities that mean what they say: logistic regression, and how far a set of probabilities is off."""

from __future__ import annotations

import numpy as np

from longgame.types import F64, Bool

PRICE = 1e-3
"""Of squared weights, per example: keeps them finite where scores part the examples."""


def logistic(scores: F64, so: Bool, steps: int = 50, share: F64 | None = None) -> F64:
    """(d+1,) weights of (n, d) scores, the last for all of them alike, by Newton's method on the log-likelihood.

    ``share``: (n,) how much each example counts beside the others; all alike if left out. Where every example is so, or
    none, the weights stay finite: the price counts as part of one example.
    """
    table = np.column_stack([scores, np.ones(len(scores))]).astype(np.float64)
    wanted = so.astype(np.float64)
    counts = np.ones(len(table)) if share is None else share / share.mean()
    weight = np.zeros(table.shape[1])
    price = np.full(table.shape[1], PRICE * len(table))
    price[-1] = 0.5  # the level is not drawn to one half, but stays finite
    for _ in range(steps):
        chance = probability(scores, weight)
        bend, left = counts * np.maximum(chance * (1 - chance), 1e-9), counts * (wanted - chance)
        step = np.linalg.solve(table.T @ (bend[:, None] * table) + np.diag(price), table.T @ left - price * weight)
        size = float(np.abs(step).max())
        weight += step if size <= 4 else step * 4 / size  # from afar Newton's step may overshoot
        if size < 1e-8:
            break
    return weight


def probability(scores: F64, weight: F64) -> F64:
    """(..., d) scores and the weights of :func:`logistic` -> (...,) in (0, 1)."""
    out: F64 = 1 / (1 + np.exp(-np.clip(scores @ weight[:-1] + weight[-1], -30, 30)))
    return out


def calibration_error(chance: F64, so: Bool, bins: int = 10) -> float:
    """How far what was said lies from what is so, on average: expected calibration error over bins of equally many.

    Of Naeini, Cooper and Hauskrecht (AAAI 2015), with bins by rank so that rare things fill them too.
    """
    order = np.argsort(chance, kind="stable")
    parts = np.array_split(order, bins)
    return float(sum(len(p) * abs(chance[p].mean() - so[p].mean()) for p in parts if len(p)) / max(1, len(order)))


def auc(scores: F64, so: Bool) -> float:
    """How often one that is so has the higher score than one that is not, ties counted half; NaN where either is missing."""
    from scipy.stats import rankdata

    good, bad = int(so.sum()), int((~so).sum())
    if not good or not bad:
        return float("nan")
    return float((rankdata(scores)[so].sum() - good * (good + 1) / 2) / (good * bad))
