"""Where candidates come from: vectors near the history, a fitted model's scores, items nobody has met yet.

Each is a pure function of the state. Items the user has seen are not left out: that is a guard's work.
"""

from __future__ import annotations

from hashlib import blake2b
from zlib import crc32

import numpy as np

from longgame.arrays import Candidates, State
from longgame.errors import ConfigError
from longgame.language.features import Features
from longgame.protocols import Model
from longgame.retrieval.exact import ExactIndex, Index, top
from longgame.rng import derive
from longgame.types import F32, I64


def taste(history: F32, half_life: float) -> F32:
    """(T, D) newest last, zeros where nothing is known -> (D,) unit mean that halves every ``half_life`` steps.

    Zeros without a history.
    """
    weights = np.float32(0.5) ** (np.arange(len(history) - 1, -1, -1, dtype=np.float32) / np.float32(half_life))
    mean = weights @ history
    norm = np.sqrt(mean @ mean)
    return np.asarray(mean / norm if norm > 1e-6 else np.zeros_like(mean), np.float32)


class VectorRetriever:
    """Items whose vectors lie near what the user did last. Finds nothing without a history."""

    def __init__(self, features: Features, index: Index, half_life: float = 4.0, name: str = "near") -> None:
        """``index`` holds ``features.vectors``; after ``half_life`` steps an item counts half."""
        if not half_life > 0:
            raise ConfigError(f"VectorRetriever.half_life: must be positive, got {half_life}")
        self._features, self._index, self._half_life, self._name = features, index, half_life, name

    @property
    def version(self) -> str:
        return f"near-{self._half_life:g}+{self._features.version}"

    def retrieve(self, state: State, n: int) -> Candidates:
        query = taste(state.history, self._half_life)
        if not query.any():
            return candidates(self._features, np.empty(0, np.int64), np.empty(0, np.float32), self._name)
        positions, scores = self._index.search(query[None], n)
        found = positions[0] >= 0
        return candidates(self._features, positions[0][found], scores[0][found], self._name)


class ModelRetriever:
    """The best of a fitted model's scores. Items added since it was fitted are not among them."""

    def __init__(self, model: Model, features: Features, version: str = "") -> None:
        """``features.ids`` begins with the catalogue ``model`` was fitted on.

        ``version`` names the fitted model where its maker knows it; otherwise its arrays are hashed, once.
        """
        self._model, self._features = model, features
        self._known = model.score(np.full((1, 1), -1, np.int64)).shape[1]
        if self._known > len(features):
            got = f"the model knows {self._known} items and the features hold {len(features)}"
            raise ConfigError(f"ModelRetriever: the catalogue must begin with the model's, got {got}")
        self._version = version or f"{model.name}-{_digest(model)}"

    @property
    def version(self) -> str:
        return self._version

    def retrieve(self, state: State, n: int) -> Candidates:
        known = np.where(state.items < self._known, state.items, -1)
        scores = self._model.score(known[None])[0]
        best = top(scores, n)
        return candidates(self._features, best, scores[best], self._model.name)


class FreshRetriever:
    """Items without an event yet: nearest to the history first; without one, in an order of their own.

    The cold order is fixed and starts at a place that depends on the context, so that one fresh item is not
    shown to everybody while the next waits.
    """

    def __init__(self, features: Features, fresh: I64, half_life: float = 4.0, seed: int = 0, name: str = "fresh") -> None:
        """``fresh`` (n,) positions of the items nobody has met."""
        if not half_life > 0:
            raise ConfigError(f"FreshRetriever.half_life: must be positive, got {half_life}")
        self._features, self._half_life, self._seed, self._name = features, half_life, seed, name
        self._fresh = np.unique(np.asarray(fresh, np.int64))
        if self._fresh.size and not 0 <= self._fresh[0] <= self._fresh[-1] < len(features):
            got = f"{self._fresh[0]} to {self._fresh[-1]}"
            raise ConfigError(f"FreshRetriever.fresh: must be positions in {len(features)} items, got {got}")
        self._index = ExactIndex(features.take(self._fresh))
        self._cold = derive(seed, "fresh", features.version).permutation(self._fresh)

    @property
    def version(self) -> str:
        return f"fresh-{self._half_life:g}-{self._seed}+{self._features.version}"

    def retrieve(self, state: State, n: int) -> Candidates:
        query = taste(state.history, self._half_life)
        if query.any():
            rows, scores = self._index.search(query[None], n)
            return candidates(self._features, self._fresh[rows[0]], scores[0], self._name)
        n = max(0, min(n, len(self._cold)))
        start = crc32(np.asarray(state.context, np.float32).tobytes()) % max(1, len(self._cold))
        turn = np.concatenate([self._cold[start:], self._cold[:start]])[:n]
        return candidates(self._features, turn, np.linspace(1, 0, n, endpoint=False, dtype=np.float32), self._name)


def candidates(features: Features, positions: I64, scores: F32, source: str) -> Candidates:
    """Candidates of one source, in the order given."""
    ids = features.ids
    return Candidates(
        tuple([ids[i] for i in positions.tolist()]),
        positions,
        features.take(positions),
        np.asarray(scores, np.float32),
        (source,),
        np.zeros(len(positions), np.int64),
    )


def _digest(model: Model) -> str:
    digest = blake2b(digest_size=4)
    for name, array in sorted(model.state_dict().items()):
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
