"""The whole catalogue as candidates, for one that is small: no item is ever out of the policy's reach."""

from __future__ import annotations

import numpy as np

from longgame.arrays import Candidates, State
from longgame.language.features import Features
from longgame.types import I64


class WholeCatalogue:
    """The first ``n`` items in a fixed order, whoever asks: by popularity, say, or as the catalogue has them."""

    def __init__(self, features: Features, order: I64 | None = None, name: str = "catalogue") -> None:
        order = np.arange(len(features)) if order is None else order
        ids = tuple(features.ids[i] for i in order.tolist())
        scores = -np.arange(len(order), dtype=np.float32)
        self.version = name
        self._all = Candidates(ids, order, features.take(order), scores, (name,), np.zeros(len(order), np.int64))

    def retrieve(self, state: State, n: int) -> Candidates:
        return self._all if n >= len(self._all) else self._all.keep(np.arange(len(self._all)) < n)
