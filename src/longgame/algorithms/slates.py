"""Which slate is best, where a user takes one of its items or none: values of items -> log-preferences of items.

With weights v_i > 0 of the items offered and v_0 of none, an item of the slate A is taken with chance v_i / (v_0 + sum_A v).
If item i taken is worth q_i and none q_0, the slate is worth

    W(A) = (v_0 q_0 + sum_A v_i q_i) / (v_0 + sum_A v_i)

(Ie et al., IJCAI 2019, eq. 18, which has q_0 = 0: here waiting has a value as well.) Three ways to look for the best A:

- *top*: the K largest v_i q_i (their TS). Each item alone, as if what is beside it did not matter.
- *greedy*: one after the other, each time what makes W greatest (their GS).
- *lp*: the best slate outright. Theirs solves a linear program (their section 5); but a ratio of sums over a set is greatest
  where the K largest v_i (q_i - w) are taken at w = W of that very slate (Dinkelbach, Management Science 1967), which is
  found in two or three rounds and is the same slate.

Each comes out as scores, so that the one sampler (``slate``) draws: the K best scores are the slate.
"""

from __future__ import annotations

import numpy as np

from longgame.errors import ConfigError
from longgame.types import F64, Bool

WAYS = ("lp", "greedy", "top")
_ROUNDS = 8
"""At most; each round's slate is better than the last, and two or three are enough."""


def slate_scores(weight: F64, worth: F64, nothing: F64, mask: Bool, k: int, way: str = "lp") -> F64:
    """(B, C) weights v beside v_0 = 1, (B, C) values q, (B,) value q_0, (B, C) mask -> (B, C) scores, -inf where masked.

    Raises ConfigError for a ``way`` that is none of ``WAYS``.
    """
    if way == "top":
        return np.where(mask, weight * worth, -np.inf)
    if way == "lp":
        price = best_value(weight, worth, nothing, mask, k)
        return np.where(mask, weight * (worth - price[:, None]), -np.inf)
    if way != "greedy":
        raise ConfigError(f"slates: the way must be one of {', '.join(WAYS)}, got {way!r}")
    return _greedy(weight, worth, nothing, mask, k)


def best_value(weight: F64, worth: F64, nothing: F64, mask: Bool, k: int) -> F64:
    """(B,) what the best slate of ``k`` items is worth; of fewer where fewer are offered."""
    value = np.asarray(nothing, np.float64).copy()
    take = min(k, weight.shape[1])
    for _ in range(_ROUNDS):
        score = np.where(mask, weight * (worth - value[:, None]), -np.inf)
        column = np.argpartition(-score, take - 1, axis=1)[:, :take]
        before, value = value, slate_value(weight, worth, nothing, column, mask)
        if np.allclose(before, value, rtol=1e-6, atol=1e-9):
            break
    return value


def slate_value(
    weight: F64, worth: F64, nothing: F64, columns: np.ndarray[tuple[int, int], np.dtype[np.int64]], mask: Bool
) -> F64:
    """(B,) what the slates (B, K) are worth: columns that are masked are empty slots."""
    rows = np.arange(len(weight))[:, None]
    chosen = np.where(mask[rows, columns], weight[rows, columns], 0.0)
    total = chosen.sum(axis=1) + 1.0
    out: F64 = ((chosen * np.where(chosen > 0, worth[rows, columns], 0.0)).sum(axis=1) + nothing) / total
    return out


def _greedy(weight: F64, worth: F64, nothing: F64, mask: Bool, k: int) -> F64:
    b, c = weight.shape
    rows, free = np.arange(b), mask.copy()
    gained, total = np.asarray(nothing, np.float64).copy(), np.ones(b)
    scores = np.where(mask, 0.0, -np.inf)
    for slot in range(min(k, c)):
        value = np.where(free, (gained[:, None] + weight * worth) / (total[:, None] + weight), -np.inf)
        best = value.argmax(axis=1)
        some = free[rows, best]
        gained += np.where(some, (weight * worth)[rows, best], 0.0)
        total += np.where(some, weight[rows, best], 0.0)
        scores[rows[some], best[some]] = k - slot  # what is taken first has the best score
        free[rows, best] = False
    return scores
