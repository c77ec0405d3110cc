"""Item-kNN for sequences: items that stand near each other in histories are neighbours, and recent history counts more.

The cosine over users of Sarwar et al. (WWW 2001, section 3.1.1), with what sequences teach (the sequential rules of
Ludewig and Jannach, UMUAI 2018): a pair counts less the more events lie between its two (``reach``) and less against
the order in which they stood (``backward``), and an item of the history counts less the older it is (``half_life``).
The cosine may be of weighted vectors (``weighting``), an item being a text and its users the words: who took much says less.

Sparse: memory grows with items times neighbours and with the log, and while fitting with the pairs that occur.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models import kept
from longgame.models.histories import TIE_BREAK, known, matrix, one, popularity, seen_matrix
from longgame.models.space import OneOf, Real, Space, Whole
from longgame.models.weighting import WEIGHTINGS, Weighting, bm25, rarity
from longgame.types import F32, F64, I64

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_REACHES = 6
"""Reaches away a pair counts 1/64: pairs farther apart are left out."""


@dataclass(frozen=True)
class ItemKNNConfig:
    """Who is a neighbour, and how much of the history speaks."""

    neighbours: int = 200
    """Neighbours kept per item, and those tied with the last of them."""
    half_life: float = 4.0
    """Events after which an item of the history counts half. Without an order in the log all count alike."""
    reach: float = 8.0
    """Events apart at which a pair counts half; infinite, and where the log has no order: one meeting a user, however far
    apart and in any order."""
    backward: float = 0.5
    """What a pair counts for recommending the earlier item to who took the later one, in [0, 1]."""
    shrinkage: float = 3.0
    """Added to the cosine's denominator, so that a chance meeting of two rare items makes no neighbours. Not in bm25."""

    weighting: Weighting = "cosine"
    """Of users, when items are compared: cosine, alike; tfidf and bm25, less the more they took. bm25 divides by its own
    measure of how often an item was taken instead of the vectors' lengths."""

    SPACE: ClassVar[Space] = {
        "neighbours": Whole(20, 500, log=True),
        "half_life": OneOf((np.inf, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0)),
        "reach": OneOf((np.inf, 32.0, 16.0, 8.0, 4.0, 2.0)),
        "backward": Real(0.0, 1.0),
        "shrinkage": Real(0.1, 100.0, log=True),
        "weighting": OneOf(WEIGHTINGS),
    }

    def __post_init__(self) -> None:
        if self.neighbours < 1 or not min(self.half_life, self.reach) > 0:
            raise ConfigError(f"ItemKNNConfig: neighbours, half_life and reach must be above 0, got {self}")
        if self.weighting not in WEIGHTINGS:
            raise ConfigError(f"ItemKNNConfig.weighting: must be one of {WEIGHTINGS}, got {self.weighting!r}")
        if not 0 <= self.backward <= 1 or not self.shrinkage >= 0:
            raise ConfigError(f"ItemKNNConfig: backward in [0, 1] and shrinkage 0 or more, got {self}")


class ItemKNN:
    """Sparse item-item weights; where no neighbour speaks, popularity decides."""

    name = "item-knn"

    def __init__(self, config: ItemKNNConfig | None = None) -> None:
        self.config = config or ItemKNNConfig()
        self._log, self._ordered = kept.nothing(), True
        self._load(np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.float32))

    def fit(self, log: Interactions, features: F32) -> None:
        self._log, self._ordered = kept.kept(log), log.ordered
        self._count()

    def update(self, more: Interactions) -> None:
        """As ``protocols.Incremental``; equals a fit on the whole log to the bit, where both parts have an order or none.

        One event changes the lengths that all pairs of its item are divided by, and with them who is whose neighbour: what
        is kept is the log, and counting it anew costs what a fit costs.
        """
        self._ordered = more.ordered if not len(self._log) else self._ordered or (more.ordered and len(more) > 0)
        self._log = kept.then(self._log, more)
        self._count()

    def _count(self) -> None:
        log, config = self._log, self.config
        taken = seen_matrix(log)
        voice = _voices(taken, config.weighting)
        far = np.isinf(config.reach) or not self._ordered
        pairs = (_meetings(taken, voice) if far else _pairs(log, config, voice)).tocoo()
        row, column = (axis.astype(np.int64) for axis in pairs.coords)
        length = _lengths(taken, voice, config.weighting)
        shrinkage = 0.0 if config.weighting == "bm25" else config.shrinkage
        cosine = pairs.data / (length[row] * length[column] + shrinkage)
        keep = _largest(row, cosine, config.neighbours)
        bounds = np.concatenate([[0], np.cumsum(np.bincount(row[keep], minlength=len(log.items)))])
        tie = TIE_BREAK * popularity(log)
        self._load(cosine[keep].astype(np.float32), column[keep].astype(np.int64), bounds.astype(np.int64), tie)

    def score(self, histories: I64) -> F32:
        histories, near = known(histories, len(self._tie)), self._near
        if len(histories) == 1:
            item, weight = one(histories[0], self._half_life)
            count = np.diff(near.indptr)[item]
            # The entries of all rows asked for, one row after the other.
            entry = np.repeat(near.indptr[item] - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(count.sum())
            total = np.bincount(near.indices[entry], np.repeat(weight, count) * near.data[entry], minlength=len(self._tie))
            return (total.astype(np.float32) + self._tie)[None]
        taken = matrix(histories, len(self._tie), self._half_life)
        out: F32 = (taken @ near).toarray()
        out += self._tie
        return out

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        near = self._near
        return {
            "weight": near.data.copy(),
            "neighbour": near.indices.astype(np.int64),
            "bounds": near.indptr.astype(np.int64),
            "tie": self._tie.copy(),
            "ordered": np.array(self._ordered),
            **kept.to_arrays(self._log),
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._log, self._ordered = kept.from_arrays(state), bool(state.get("ordered", True))  # before, all did
        self._load(*(np.array(state[name]) for name in ("weight", "neighbour", "bounds", "tie")))

    def _load(self, weight: F32, neighbour: I64, bounds: I64, tie: F32) -> None:
        from scipy.sparse import csr_array

        self._half_life = self.config.half_life if self._ordered else np.inf
        self._tie = tie  # (I,)
        self._near = csr_array((weight, neighbour, bounds), shape=(len(tie), len(tie)))  # row: what was taken


def _voices(taken: csr_array, weighting: Weighting) -> F32:
    """(U,) what a user's taking two items says of them."""
    if weighting == "cosine":
        return np.ones(taken.shape[0], np.float32)
    voice: F32 = (rarity(np.diff(taken.indptr).astype(np.int64), taken.shape[1]) ** 2).astype(np.float32)
    return voice


def _lengths(taken: csr_array, voice: F32, weighting: Weighting) -> F32:
    """(I,) what an item's pairs are divided by: the length of its vector over users, or what BM25 has in its place."""
    if weighting == "bm25":
        count = taken.sum(axis=0).astype(np.float64)
        typical = count.sum() / max(1, np.count_nonzero(count))
        return (1 / bm25(np.ones(len(count)), count / max(typical, 1.0))).astype(np.float32)
    out: F32 = np.sqrt(taken.T @ voice)
    return out


def _meetings(taken: csr_array, voice: F32) -> csr_array:
    """Sparse (I, I), zero diagonal: users who took both, by their voices."""
    from scipy.sparse import csr_array

    spoken = taken.copy()
    spoken.data *= np.repeat(voice, np.diff(taken.indptr))
    together = (taken.T @ spoken).tocoo()
    row, column = together.coords
    other = row != column
    return csr_array((together.data[other], (row[other], column[other])), shape=together.shape)


def _pairs(log: Interactions, config: ItemKNNConfig, voice: F32) -> csr_array:
    """Sparse (I, I), zero diagonal: a row's item and one that came after it, weighted by how soon, and the reverse."""
    from scipy.sparse import csr_array

    shape, user = (len(log.items), len(log.items)), log.user
    after = csr_array(shape, dtype=np.float32)
    longest = int(np.diff(log.offsets).max(initial=0))
    for apart in range(1, min(longest, int(_REACHES * config.reach) + 1)):
        first, second = log.item[:-apart], log.item[apart:]
        pair = (user[apart:] == user[:-apart]) & (first != second)
        weight = np.float32(np.exp2(-apart / config.reach)) * voice[user[apart:][pair]]
        after = after + csr_array((weight, (first[pair], second[pair])), shape=shape)
    return csr_array(after + config.backward * after.T)


def _largest(row: I64, value: F64, count: int) -> I64:
    """Indices, in order of row, of each row's ``count`` largest values and of those equal to the smallest of them.

    Equals are kept or left together, so that no neighbour is one for its place in the catalogue.
    """
    order = np.lexsort((-value, row))
    sizes = np.bincount(row)
    start = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    last = np.minimum(start + count, start + sizes) - 1
    bound = np.where(sizes > 0, value[order[np.minimum(last, len(order) - 1)]], 0.0) if len(order) else np.zeros(0)
    return order[value[order] >= bound[row[order]]]
