"""Tags that nobody wrote: what ratings say that items have in common, beyond how good and of what kind they are.

K factors of what is left of ratings when the item's usual value and the user's own level are taken off: probabilistic matrix
factorisation (Salakhutdinov and Mnih, NIPS 2007) by alternating least squares. An item's loading is drawn towards what its
tags say, so an item that nobody rated yet has one. A user's taste is the posterior mean given their ratings, from sums that
each event adds to once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from longgame.rng import derive
from longgame.types import F32, F64, I64, ItemId

_ROUNDS = 12
_USER = 1.0
"""Ratings that weigh as much as the belief that a user has no taste of their own."""
_ITEM = 15.0
"""The same of an item and what its tags say."""
_TAG = 20.0
"""The same of a tag, or a group, and the belief that it says nothing."""


@dataclass(frozen=True)
class Tastes:
    """Loadings of items, and what is usual of users."""

    by_item: Mapping[ItemId, F64]
    """Item -> (K,)"""
    by_tag: F64
    """(G, K) the loading of an item that nobody rated is the sum over its tags"""
    leaning: F64
    """(A+1, K) what a member of a group is like, beside what everybody is: the last row"""
    spread: F64
    """(K,) standard deviation between users, above 0"""

    @staticmethod
    def none(tags: int, groups: int, count: int = 0) -> Tastes:
        """Nothing told by ``count`` tastes."""
        return Tastes({}, np.zeros((tags, count)), np.zeros((groups + 1, count)), np.ones(count))

    def __len__(self) -> int:
        return len(self.spread)

    def of(self, item: ItemId, tagged: F32) -> F64:
        """(K,) the loading of an item with the tags of ``tagged`` (G,)."""
        held = self.by_item.get(item)
        return tagged @ self.by_tag if held is None else held

    def posterior(self, moments: F64, level: float, prior: F64) -> F64:
        """(K,) in standard deviations between users, from ``moments`` (K, K+2) as :func:`moments_of` makes them."""
        k = len(self)
        gram, residual, total = moments[:, :k], moments[:, k], moments[:, k + 1]
        found = np.linalg.solve(gram + _USER * np.eye(k), residual - level * total + _USER * prior)
        out: F64 = found / self.spread
        return out


def moments_of(loadings: F64, residual: F64, weight: F64) -> F64:
    """Loadings (n, K) of rated items, how much better than usual they were (n,), weights (n,) -> sums (K, K+2)."""
    weighted = loadings * weight[:, None]
    return np.concatenate([weighted.T @ loadings, (weighted.T @ residual)[:, None], weighted.sum(axis=0)[:, None]], axis=1)


def fit_tastes(
    user: I64, item: I64, residual: F64, tagged: F64, ids: tuple[ItemId, ...], member: F64, start: F64 | None, count: int
) -> Tastes:
    """Ratings as columns (N,), sorted by user, residual of level; tags (I, G) of ``ids``; groups (U, A+1) of users.

    ``start`` (I, K) are the loadings to begin at: tastes have no order of their own, and those of a policy must keep theirs.
    """
    users, items, groups = len(member), len(ids), member.shape[1]
    if count == 0 or len(user) < 10 * count:
        return Tastes.none(tagged.shape[1], groups - 1, count)
    loading = derive(0, "tastes").normal(0, 0.1, (items, count)) if start is None else start.copy()
    by_item = np.argsort(item, kind="stable")
    by_tag: F64 = np.zeros((tagged.shape[1], count))
    nobody: F64 = np.zeros((users, count))
    taste = _solved(loading[item], residual, user, users, _USER, nobody)
    for _ in range(_ROUNDS):
        rated = item[by_item]
        loading = _solved(taste[user][by_item], residual[by_item], rated, items, _ITEM, tagged @ by_tag)
        by_tag = _regressed(tagged, loading)
        taste = _solved(loading[item], residual, user, users, _USER, nobody)
        scale = np.maximum(taste.std(axis=0), 1e-6)
        taste, loading, by_tag = taste / scale, loading * scale, by_tag * scale
    taste = _solved(loading[item], residual, user, users, _USER, nobody)
    leaning = _regressed(member, taste)
    met = np.bincount(item, minlength=items) > 0
    held = {id: loading[row] for row, id in enumerate(ids) if met[row]}
    spread: F64 = np.maximum(taste.std(axis=0), 1e-3)
    return Tastes(held, by_tag, leaning, spread)


def _regressed(told: F64, on: F64) -> F64:
    """Ridge regression of (n, K) on (n, m) -> (m, K)."""
    out: F64 = np.linalg.solve(told.T @ told + _TAG * np.eye(told.shape[1]), told.T @ on).astype(np.float64)
    return out


def _solved(vectors: F64, target: F64, of: I64, count: int, ridge: float, prior: F64) -> F64:
    """Ridge regressions, one for each of ``count``: rows (N, K) sorted by ``of`` (N,), drawn to ``prior`` (count, K)."""
    k = vectors.shape[1]
    left, right = np.zeros((count, k, k)), np.zeros((count, k))
    present, first = np.unique(of, return_index=True)
    left[present] = np.add.reduceat(vectors[:, :, None] * vectors[:, None, :], first, axis=0)
    off = target - (vectors * prior[of]).sum(axis=1)
    right[present] = np.add.reduceat(vectors * off[:, None], first, axis=0)
    solved: F64 = np.linalg.solve(left + ridge * np.eye(k), right[:, :, None])[:, :, 0] + prior
    return solved
