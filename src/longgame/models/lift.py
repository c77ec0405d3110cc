"""Items that nobody took yet, scored by their texts: on one scale with the items that a model knows.

A model of events has nothing to say about such an item. Its score here is

    v1 * (what the model says of the items whose texts are nearest, averaged) + v2 * (text against taste) + v3,

taste being the fading mean of the text vectors of a history. The three numbers are learned from held-out events with a
conditional logit, by pretending that a fifth of the known items are new: so the items stand where events say they would
stand, neither buried nor pushed. The neighbours' average goes back to content-boosted collaborative filtering (Melville,
Mooney and Nagarajan, AAAI 2002); learning by pretending, to DropoutNet (Volkovs et al., NeurIPS 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from longgame.arrays import Interactions
from longgame.language.features import Features
from longgame.language.projection import reduce
from longgame.models.histories import known, matrix
from longgame.models.windows import held_out
from longgame.protocols import Model
from longgame.rng import derive
from longgame.types import F32, F64, I64, Bool

_NEAR = 10
"""Neighbours by text; on Amazon Beauty 5 to 20 do alike."""
_SHARPNESS = 10.0
"""Times the cosine, in the softmax over the neighbours."""
_WIDTH = 128
"""Directions of the texts that are compared, at most."""
_HALF_LIFE = 2.0
"""Events after which an item of the history counts half in the taste."""
_PRETENDED = 0.2
"""Share of the known items that are new while the three numbers are learned."""


@dataclass(frozen=True)
class Lift:
    """What is known of a catalogue's new items. Made by :meth:`learn`."""

    cold: I64
    """(n,) positions of the items without events that have a text, in ascending order"""
    vectors: F32
    """(I, D) unit text vectors"""
    near: I64
    """(n, k) positions of each one's neighbours among the known items"""
    share: F32
    """(n, k) of the neighbours' voices, adding up to 1"""
    numbers: F64
    """(3,) v1, v2, v3"""

    @staticmethod
    def learn(scores: F32, histories: I64, target: I64, log: Interactions, features: F32, seed: int = 0) -> Lift | None:
        """From (n, I) scores of a model fitted on ``log`` without the events on ``target`` (n,) that followed ``histories``.

        None where there is nothing to lift: no text, no item without events, or no held-out event to learn from.
        """
        met = np.bincount(log.item, minlength=len(log.items)) > 0
        if target.size:
            met[target] = True
        told = features.any(axis=1)
        cold, pool = np.flatnonzero(~met & told), np.flatnonzero(met & told)
        if not len(cold) or len(pool) < 2 or not len(target):
            return None
        text = Features("text", log.items, features)
        vectors = reduce(text, min(_WIDTH, features.shape[1], len(pool))).apply(features)
        drawn = np.array([derive(seed, "pretended", log.items[i]).random() for i in pool.tolist()]).argsort()
        new = np.sort(pool[drawn[: max(1, int(_PRETENDED * len(pool)))]])
        pretended = Lift(new, vectors, *_neighbours(vectors, new, np.setdiff1d(pool, new)), np.zeros(3))
        numbers = _logit(scores, pretended._parts(scores, histories), new, _unseen(histories, met), target)
        return Lift(cold, vectors, *_neighbours(vectors, cold, pool), numbers)

    def apply(self, scores: F32, histories: I64) -> F32:
        """(B, I), (B, T) -> (B, I), the new items' scores replaced."""
        out = scores.copy()
        out[:, self.cold] = self._parts(scores, histories) @ self.numbers
        return out

    def _parts(self, scores: F32, histories: I64) -> F64:
        """(B, n, 3): what the neighbours get, the text against the taste, and one."""
        taste = matrix(known(histories, len(self.vectors)), len(self.vectors), _HALF_LIFE) @ self.vectors
        norm = np.linalg.norm(taste, axis=1, keepdims=True)
        likeness = taste / np.where(norm > 1e-6, norm, np.inf) @ self.vectors[self.cold].T
        voices = np.zeros((len(scores), len(self.cold)))
        for k in range(self.near.shape[1]):
            voices += scores[:, self.near[:, k]] * self.share[:, k]
        return np.stack([voices, likeness, np.ones_like(voices)], axis=2)

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        names = ("cold", "vectors", "near", "share", "numbers")
        return {f"lift.{name}": np.array(getattr(self, name)) for name in names}

    @staticmethod
    def load(state: Mapping[str, np.ndarray[Any, Any]]) -> Lift | None:
        """From what :meth:`state_dict` gave; None where there was no lift."""
        if "lift.cold" not in state:
            return None
        return Lift(*(np.array(state[f"lift.{name}"]) for name in ("cold", "vectors", "near", "share", "numbers")))


class Lifted:
    """A model of events whose new items are scored by their texts.

    Fitted twice where there are any: to learn how, and for good.
    """

    def __init__(self, make: Callable[[], Model], seed: int = 0) -> None:
        self._make, self._seed = make, seed
        self._model = make()
        self._lift: Lift | None = None

    @property
    def name(self) -> str:
        return self._model.name

    def fit(self, log: Interactions, features: F32) -> None:
        self._lift = None
        train, history, target = held_out(log, derive(self._seed, "lift"))
        if len(train) and len(target) and not (np.bincount(log.item, minlength=len(log.items)) > 0).all():
            first = self._make()
            first.fit(train, features)
            self._lift = Lift.learn(standardised(first.score(history)), history, target, train, features, self._seed)
        self._model = self._make()
        self._model.fit(log, features)

    def score(self, histories: I64) -> F32:
        scores = self._model.score(histories)
        # On one scale whatever the model's: what is learned is held back by a price that knows no other.
        return scores if self._lift is None else self._lift.apply(standardised(scores), histories)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        held = {f"model.{name}": array for name, array in self._model.state_dict().items()}
        return held | (self._lift.state_dict() if self._lift else {})

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._model = self._make()
        self._model.load_state_dict({k.removeprefix("model."): a for k, a in state.items() if k.startswith("model.")})
        self._lift = Lift.load(state)


def standardised(scores: F32) -> F32:
    """(B, I) -> each row less its mean, over its deviation; zeros where a row says nothing."""
    if not scores.shape[1]:
        return scores
    centred = scores - scores.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    out: F32 = centred / np.where(deviation > 1e-12, deviation, np.inf)
    return out


def _neighbours(vectors: F32, items: I64, pool: I64) -> tuple[I64, F32]:
    """(n,) positions and those they may be near to -> (n, k) neighbours and their shares."""
    count = min(_NEAR, len(pool))
    near, share = np.empty((len(items), count), np.int64), np.empty((len(items), count), np.float32)
    for first in range(0, len(items), 1024):
        part = slice(first, first + 1024)
        cosine = vectors[items[part]] @ vectors[pool].T
        best = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        weight = np.exp(_SHARPNESS * np.take_along_axis(cosine, best, axis=1))
        near[part], share[part] = pool[best], weight / weight.sum(axis=1, keepdims=True)
    return near, share


def _unseen(histories: I64, met: Bool) -> Bool:
    """(n, I) True where a known item is not in the history."""
    out = np.tile(met, (len(histories), 1))
    row, column = np.nonzero(histories >= 0)
    out[row, histories[row, column]] = False
    return out


def _logit(scores: F32, parts: F64, new: I64, ranked: Bool, target: I64) -> F64:
    """(n, I) scores, (n, m, 3) parts of the (m,) new items, (n, I) what is ranked, (n,) what came -> (3,) numbers.

    Minimises the mean of -log P(target), P ~ exp(score) of an item that is known and exp(parts . numbers) of a new one.
    The scores are first put on the scale of a likelihood: a fourth number, which the three are divided by in the end.
    """
    from scipy.optimize import minimize

    place = np.full(scores.shape[1], -1)
    place[new] = np.arange(len(new))
    rest = np.where(ranked, scores, -np.inf).astype(np.float64)
    rest[:, new] = -np.inf
    shown, row = ranked[:, new], np.arange(len(target))
    is_new = place[target] >= 0
    own = parts[row, np.maximum(place[target], 0)] * is_new[:, None]
    told = np.where(is_new, 0.0, np.where(ranked, scores, 0.0)[row, target])
    known_scores = np.where(np.isfinite(rest), rest, 0.0)

    def loss(x: F64) -> tuple[float, F64]:
        numbers, scale = x[:3], x[3]
        old = np.where(np.isfinite(rest), scale * known_scores, -np.inf)
        fresh = np.where(shown, parts @ numbers, -np.inf)
        top = np.maximum(old.max(axis=1), fresh.max(axis=1))[:, None]
        old, fresh = np.exp(old - top), np.exp(fresh - top)
        norm = (old.sum(axis=1) + fresh.sum(axis=1))[:, None]
        value = float((top + np.log(norm)).mean() - (own @ numbers + scale * told).mean())
        slope = np.einsum("nm,nmk->k", fresh / norm, parts) / len(target) - own.mean(axis=0)
        slant = float((old / norm * known_scores).sum() / len(target) - told.mean())
        return value + 1e-4 * float(x @ x), np.append(slope, slant) + 2e-4 * x

    start = np.array([1.0, 0.0, 0.0, 1.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200, "ftol": 1e-12, "gtol": 1e-7})
    scale = found.x[3]
    out: F64 = found.x[:3] / scale if scale > 1e-6 else np.array([1.0, 0.0, 0.0])
    return out
