"""Histories as models are given them, (B, T) positions with -1 anywhere, in the shapes that models work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from longgame.arrays import Interactions
from longgame.shapes import check
from longgame.types import F32, I64

if TYPE_CHECKING:  # 90 ms of import that popularity and a look at the table need not pay
    from scipy.sparse import csr_array

_COLUMNS = 256
"""Columns of a dense matrix that :func:`times` takes at once."""
TIE_BREAK = np.float32(1e-6)
"""What the most popular item's popularity adds to a score: decides between items a model cannot tell apart."""


def known(histories: I64, items: int) -> I64:
    """(B, T) with -1 where the position is not one of the ``items`` the model was fitted on."""
    check({}, ("histories", histories, "B T"))
    return np.where((histories >= 0) & (histories < items), histories, -1)


def packed(histories: I64) -> I64:
    """(B, T), the padding moved to the front, the order of the rest kept.

    >>> packed(np.array([[4, -1, 2, -1]]))
    array([[-1, -1,  4,  2]])
    """
    return np.take_along_axis(histories, np.argsort(histories >= 0, axis=1, kind="stable"), axis=1)


def recent(histories: I64, steps: int) -> I64:
    """(B, T) -> (B, max(1, min(T, steps))): the last steps, padding in front, repeats in a row taken once.

    >>> recent(np.array([[4, -1, 2, 2, 7]]), 3)
    array([[4, 2, 7]])
    """
    if not histories.shape[1]:
        return np.full((len(histories), 1), -1, np.int64)
    out = packed(histories)
    again = (out[:, 1:] == out[:, :-1]) & (out[:, 1:] >= 0)
    if again.any():
        out[:, 1:][again] = -1
        out = packed(out)
    return out[:, -steps:]


def one(history: I64, half_life: float = np.inf) -> tuple[I64, F32]:
    """(T,) -> the different items (n,) of one history and their weights (n,): a row of :func:`matrix`, without scipy's toll.

    For a request this is all there is, and making a sparse matrix of it takes longer than the product.
    """
    taken = history[history >= 0]
    item, back = np.unique(taken[::-1], return_index=True)
    return item, np.exp2(-back / half_life).astype(np.float32)


def matrix(histories: I64, items: int, half_life: float = np.inf) -> csr_array:
    """(B, T) -> sparse (B, I): 1 for the newest event, half of it ``half_life`` events earlier.

    An item that occurs twice counts once, at its newest.
    """
    row, column = np.nonzero(histories >= 0)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(histories)))])
    return _faded(bounds, histories[row, column], items, half_life)


def faded_matrix(log: Interactions, half_life: float = np.inf) -> csr_array:
    """Sparse (U, I): :func:`matrix` of the histories of all users of a log."""
    return _faded(log.offsets, log.item.copy(), len(log.items), half_life)


def _faded(bounds: I64, item: I64, items: int, half_life: float) -> csr_array:
    """Sparse (n, I) of n histories whose events ``item`` (N,) lie between ``bounds`` (n+1,). ``item`` may be changed."""
    from scipy.sparse import csr_array

    shape, count = (len(bounds) - 1, items), np.diff(bounds)
    if np.isinf(half_life):
        out = csr_array((np.ones(len(item), np.float32), item, bounds.copy()), shape=shape)
        out.sum_duplicates()
        out.data[:] = 1.0
        return out
    row = np.repeat(np.arange(len(count)), count)
    age = bounds[1:][row] - 1 - np.arange(len(row))
    # The newest of each (row, item): the last one of equals in a stable order.
    code = row * items + item
    order = np.argsort(code, kind="stable")
    newest = order[np.append(code[order][1:] != code[order][:-1], True)] if len(order) else order
    weight = np.exp2(-age[newest] / half_life).astype(np.float32)
    kept = np.concatenate([[0], np.cumsum(np.bincount(row[newest], minlength=len(count)))])
    return csr_array((weight, item[newest], kept), shape=shape)


def times(taken: csr_array, weights: F32) -> F32:
    """Sparse (B, I) by dense (I, J) -> (B, J): a part of the columns at a time, all of whose rows stay in a core's cache."""
    out = np.empty((taken.shape[0], weights.shape[1]), np.float32)
    for first in range(0, out.shape[1], _COLUMNS):
        part = slice(first, first + _COLUMNS)
        out[:, part] = taken @ np.ascontiguousarray(weights[:, part])
    return out


def seen_matrix(log: Interactions) -> csr_array:
    """Sparse (U, I): 1 where the user has an event on the item, however many."""
    return faded_matrix(log)


def popularity(log: Interactions) -> F32:
    """(I,) events of each item, as a share of the most popular one's; zeros for an empty log."""
    count = np.bincount(log.item, minlength=len(log.items))
    out: F32 = (count / max(int(count.max(initial=0)), 1)).astype(np.float32)
    return out
