"""SLIM: a sparse linear item-item model. Ning and Karypis: "SLIM: Sparse Linear Methods for Top-N Recommender Systems",
ICDM 2011.

With A (U, I) who took what, each column w of the weights W is the elastic net (eq. 4)

    minimise 1/2 |a_j - A w|^2 + l2/2 |w|^2 + l1 |w|_1,   w_j = 0, w >= 0 unless ``negative``,

and a user's scores are the sum of the rows of W for what he took. Solved by coordinate descent on A'A (Friedman, Hastie
and Tibshirani, JSS 2010, section 2.2), which passes over the few weights that are not zero until they stand still. An
item's candidates are those that somebody took with it: without negative weights the others could not have any.

One thing is not in the paper, as in EASE: a history can be made to fade when it is scored (``half_life``). Sparse: memory
grows with the pairs that occur, and with items times what l1 leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models.compiled import compiled
from longgame.models.histories import TIE_BREAK, known, matrix, popularity, seen_matrix, times
from longgame.models.space import OneOf, Real, Space
from longgame.types import F32, I64

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_HELD = 4_000_000
"""Weights held densely at once while fitting: 16 MB."""
_DENSE = 250_000_000
"""Entries of A'A up to which it is also held densely, 1 GB, where that is faster: where a pair in eight occurs."""


@dataclass(frozen=True)
class SlimConfig:
    """How few and how small the weights are to be."""

    l1: float = 3.0
    """Price of a weight, 0 or more: more leaves fewer of them. In users: a pair that fewer took together gets none."""
    l2: float = 300.0
    """Price of a squared weight, above 0. More for sparser logs."""
    negative: bool = False
    """Whether an item may speak against another."""
    half_life: float = np.inf
    """Events after which an item of the history counts half when scoring; infinite, as in the paper: order is nothing."""
    tolerance: float = 1e-4
    """The largest change of a weight in a pass at which an item is done."""
    passes: int = 200
    """The most for one item."""

    SPACE: ClassVar[Space] = {
        "l1": Real(0.1, 100.0, log=True),
        "l2": Real(1.0, 3000.0, log=True),
        "negative": OneOf((False, True)),
        "half_life": OneOf((np.inf, 64.0, 32.0, 16.0, 8.0, 4.0, 2.0)),
    }

    def __post_init__(self) -> None:
        if not min(self.l2, self.half_life, self.tolerance) > 0 or not self.l1 >= 0 or self.passes < 1:
            raise ConfigError(f"SlimConfig: l2, half_life, tolerance and passes above 0 and l1 0 or more, got {self}")


class Slim:
    """Sparse item-item weights; an empty history scores by popularity. Needs the extra ``factors`` to fit."""

    name = "slim"

    def __init__(self, config: SlimConfig | None = None) -> None:
        self.config = config or SlimConfig()
        self._load(np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.float32))

    def fit(self, log: Interactions, features: F32) -> None:
        count = len(log.items)
        taken = seen_matrix(log)
        together = (taken.T @ taken).tocsr()
        together.sort_indices()
        column, weight, size = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)], [np.zeros(1, np.int64)]
        block = max(1, _HELD // max(1, count))
        full = together.nnz > count**2 / 8 and count**2 <= _DENSE
        dense = together.toarray() if full else np.zeros((0, 0), np.float32)
        for first in range(0, count, block):
            found = _descend(together, dense, first, min(first + block, count), self.config)
            row, spoken = np.nonzero(found)
            column.append(spoken)
            weight.append(found[row, spoken])
            size.append(np.bincount(row, minlength=len(found)))
        bounds = np.cumsum(np.concatenate(size))
        self._load(np.concatenate(weight), np.concatenate(column), bounds, TIE_BREAK * popularity(log))

    def score(self, histories: I64) -> F32:
        taken = matrix(known(histories, len(self._tie)), len(self._tie), self.config.half_life)
        out: F32 = (taken @ self._weights).toarray() if self._dense is None else times(taken, self._dense)
        out += self._tie
        return out

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        said = self._said
        column, bounds = said.indices.astype(np.int64), said.indptr.astype(np.int64)
        return {"weight": said.data.copy(), "column": column, "bounds": bounds, "tie": self._tie.copy()}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._load(*(np.array(state[name]) for name in ("weight", "column", "bounds", "tie")))

    def _load(self, weight: F32, column: I64, bounds: I64, tie: F32) -> None:
        from scipy.sparse import csr_array

        self._tie = tie  # (I,)
        self._said = csr_array((weight, column, bounds), shape=(len(tie), len(tie)))  # row: what is spoken for
        self._weights = self._said.T.tocsr()  # row: what was taken
        # A product of sparse matrices takes as long as one with 32 times the weights, most of them nothing.
        full = self._said.nnz > len(tie) ** 2 / 32 and len(tie) ** 2 <= _DENSE
        self._dense: F32 | None = self._weights.toarray() if full else None


def _descend(together: csr_array, dense: F32, first: int, last: int, config: SlimConfig) -> F32:
    """(last - first, I) weights of the columns of W from ``first`` to ``last``, as rows."""
    out = np.zeros((last - first, together.shape[0]), np.float32)
    lengths = together.diagonal().astype(np.float32)
    floor = np.float32(-np.inf if config.negative else 0.0)
    prices = np.array([config.l1, config.l2, floor, config.tolerance], np.float32)
    sparse = together.indptr, together.indices, together.data
    compiled(_elastic_nets)(*sparse, dense, lengths, first, prices, config.passes, out)
    return out


def _elastic_nets(
    bounds: Any, index: Any, value: Any, dense: Any, lengths: Any, first: int, prices: Any, passes: int, out: Any
) -> None:  # pragma: no cover - numba's, unseen by coverage
    """Coordinate descent for items ``first`` and on, into the rows of ``out``.

    A'A comes row by row, and if it pays as a whole, ``dense``; ``prices`` are l1, l2, the least a weight may be, and the
    change that is none.
    """
    l1, l2, floor, still = prices
    left = np.zeros(len(lengths), np.float32)  # a_i' (a_j - A w): what item i could still explain
    active = np.empty(len(lengths), np.int64)
    for row in range(len(out)):
        target, w = first + row, out[row]
        low, high = bounds[target], bounds[target + 1]
        left[:] = 0.0
        for e in range(low, high):
            left[index[e]] = value[e]
        count, whole = 0, True
        for _ in range(passes):
            if whole:  # all candidates; then only those that got a weight, until they stand still; then all again
                count = high - low
                active[:count] = index[low:high]
            moved, kept = np.float32(0.0), 0
            for place in range(count):
                item = active[place]
                if item == target:
                    continue
                before = w[item]
                reach = left[item] + lengths[item] * before
                after = np.float32(0.0)
                if reach > l1:
                    after = (reach - l1) / (lengths[item] + l2)
                elif reach < -l1:
                    after = max(floor, (reach + l1) / (lengths[item] + l2))
                if after != before:
                    w[item] = after
                    change = after - before
                    moved = max(moved, abs(change))
                    if len(dense):
                        for e in range(len(left)):
                            left[e] -= change * dense[item, e]
                    else:
                        for e in range(bounds[item], bounds[item + 1]):
                            left[index[e]] -= change * value[e]
                if after != 0:
                    active[kept] = item
                    kept += 1
            count = kept
            if moved < still:
                if whole:
                    break
                whole = True
            else:
                whole = False
