"""How well an item is liked by anybody: what is left of its ratings when the raters' own levels are taken off.

A mean of ratings says who rates an item as much as how good it is: what only the strict watch looks bad. Here users and items
are told apart by alternating ridge regressions (Koren, "Factorization Meets the Neighborhood", KDD 2008, eq. 1), and an item
is drawn to what its tags say of it, so an item that few rated, or nobody, has a value too.
"""

from __future__ import annotations

import numpy as np

from longgame.types import F64, I64

_ROUNDS = 15
_ITEM = 8.0
"""Ratings of an item that weigh as much as what its tags say."""
_TAG = 3.0
"""Items, each as far as it is known, that weigh as much as the belief that a tag says nothing."""


def fit_worth(user: I64, item: I64, value: F64, tagged: F64, level: float) -> tuple[F64, F64]:
    """Ratings as columns (N,) in standard deviations from the mean, tags (I, G+1) with 1 in the last column -> (I,), (G+1,).

    What each item is worth, and what a tag adds to it, in the last place what an item without a tag is worth. A user's level
    is shrunken by ``level`` ratings.
    """
    items, users = len(tagged), int(user.max(initial=-1)) + 1
    rated, rates = np.bincount(item, minlength=items), np.bincount(user, minlength=users)
    known = rated / (rated + _ITEM)
    ridge = np.full(tagged.shape[1], _TAG)
    ridge[-1] = 1e-6  # there is always something to tell the middle from
    left: F64 = (tagged * known[:, None]).T @ tagged + np.diag(ridge)
    levels: F64 = np.zeros(users)
    by_tag: F64 = np.zeros(tagged.shape[1])
    worth: F64 = np.zeros(items)
    for _ in range(_ROUNDS):
        total = np.bincount(item, value - levels[user], items)
        worth = (total + _ITEM * tagged @ by_tag) / (rated + _ITEM)
        by_tag = np.linalg.solve(left, tagged.T @ (total / (rated + _ITEM))).astype(np.float64)
        levels = np.bincount(user, value - worth[item], users) / (rates + level)
    return worth, by_tag
