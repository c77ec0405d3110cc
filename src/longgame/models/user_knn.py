"""User-kNN: what those took who took the same.

The user-based scheme of Resnick et al. (GroupLens, CSCW 1994) for events in place of ratings: with q the history asked for,
as a vector over items, the score of item i is the sum over the k users v most like q of sim(q, v)^p x_vi. Likeness is the
cosine, plain or with items weighted by rarity (TF-IDF), or BM25. Histories fade: the one asked for (``half_life``) and those
of the neighbours (``neighbour_half_life``), events back from the newest.

A user need not be known, for he is his history. One who is known is a neighbour of himself; that speaks for items he has
taken only, and costs one of the k places. Sparse: memory is the log; a score takes time that grows with the users who
share an item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models import kept
from longgame.models.histories import TIE_BREAK, faded_matrix, known, matrix, popularity
from longgame.models.space import OneOf, Real, Space, Whole
from longgame.models.weighting import WEIGHTINGS, Weighting, rarity, weighted
from longgame.types import F32, F64, I64

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_HELD = 4_000_000
"""Likenesses held at once: 32 MB."""


@dataclass(frozen=True)
class UserKNNConfig:
    """Who is a neighbour, and how much he says."""

    neighbours: int = 200
    """k, and those tied with the last of them."""
    weighting: Weighting = "tfidf"
    """Of items, when users are compared: cosine, tfidf or bm25."""
    power: float = 3.0
    """p: more than 1 gives the nearest neighbours more to say."""
    half_life: float = np.inf
    """Events after which an item of the history counts half."""
    neighbour_half_life: float = np.inf
    """The same for the neighbours' histories, both when they are compared and in what they speak for."""
    shrinkage: float = 1.0
    """Added to the cosine's denominator, so that two who share little are not alike by chance. Not in bm25."""

    SPACE: ClassVar[Space] = {
        "neighbours": Whole(10, 1000, log=True),
        "weighting": OneOf(WEIGHTINGS),
        "power": Real(0.5, 8.0),
        "half_life": OneOf((np.inf, 64.0, 32.0, 16.0, 8.0, 4.0, 2.0)),
        "neighbour_half_life": OneOf((np.inf, 256.0, 64.0, 32.0, 16.0, 8.0)),
        "shrinkage": Real(0.01, 100.0, log=True),
    }

    def __post_init__(self) -> None:
        if self.neighbours < 1 or not min(self.half_life, self.neighbour_half_life, self.power) > 0:
            raise ConfigError(f"UserKNNConfig: neighbours, half-lives and power must be above 0, got {self}")
        if self.weighting not in WEIGHTINGS or not self.shrinkage >= 0:
            raise ConfigError(f"UserKNNConfig: weighting one of {WEIGHTINGS} and shrinkage 0 or more, got {self}")


class UserKNN:
    """The log itself; an empty history scores by popularity."""

    name = "user-knn"

    def __init__(self, config: UserKNNConfig | None = None) -> None:
        self.config = config or UserKNNConfig()
        self._load(kept.nothing())

    def fit(self, log: Interactions, features: F32) -> None:
        self._load(kept.kept(log))

    def update(self, more: Interactions) -> None:
        """As ``protocols.Incremental``; equals a fit on the whole log."""
        self._load(kept.then(self._log, more))

    def score(self, histories: I64) -> F32:
        asked = matrix(known(histories, len(self._tie)), len(self._tie), self.config.half_life)
        out = np.tile(self._tie, (len(histories), 1))
        size = max(1, _HELD // max(1, self._taken.shape[0]))
        for first in range(0, len(out), size):
            out[first : first + size] += (self._near(asked[first : first + size]) @ self._taken).toarray()
        return out

    def _near(self, asked: csr_array) -> csr_array:
        """(b, I) -> sparse (b, U): what each neighbour's word is worth."""
        from scipy.sparse import csr_array

        config = self.config
        vectors = weighted(asked, config.weighting, self._rare, self._typical)
        alike: F64 = (vectors @ self._turned).toarray()
        if config.weighting != "bm25":
            alike /= np.sqrt(vectors.multiply(vectors).sum(axis=1))[:, None] * self._length + max(config.shrinkage, 1e-12)
        count = min(config.neighbours, alike.shape[1])
        # In float32 what is equal but for the order of a sum is equal: equals are kept or left together.
        close = alike.astype(np.float32)
        bound = np.partition(close, -count, axis=1)[:, -count] if count else np.zeros(len(close), np.float32)
        row, user = np.nonzero((close >= bound[:, None]) & (close > 0))
        return csr_array((close[row, user] ** np.float32(config.power), (row, user)), shape=close.shape)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return kept.to_arrays(self._log)

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._load(kept.from_arrays(state))

    def _load(self, log: Interactions) -> None:
        self._log = log
        self._taken = faded_matrix(log, self.config.neighbour_half_life)  # (U, I)
        count = np.bincount(self._taken.indices, minlength=len(log.items))
        self._rare, self._typical = rarity(count, len(log.users)), float(self._taken.sum() / max(1, len(log.users)))
        vectors = weighted(self._taken, self.config.weighting, self._rare, self._typical)
        self._length = np.sqrt(vectors.multiply(vectors).sum(axis=1))  # (U,)
        self._turned = vectors.T.tocsr()  # (I, U)
        self._tie = TIE_BREAK * popularity(log)
