"""Content-based: items whose texts are like those of the history. It needs nobody's history but the user's own.

The vector-space scheme of Pazzani and Billsus ("Content-Based Recommendation Systems", 2007) on whatever text vectors it is
given: a sentence encoder's, means of static word vectors, hashed words. Text vectors of one catalogue share most of their
direction ("The Godfather" and "Toy Story" are both films), so the mean is taken off and the directions are evened out
first (Mu and Viswanath: "All-but-the-Top", ICLR 2018; here the part-whitening of ``language.reduce``). An item's score is then

    pool "mean":  v_i . t, with t the mean of the history's vectors, halving every ``half_life`` events, as a unit vector
    pool "max":   max over the last ``recent`` items of 2^(-age / half_life) v_i . v_h

With ``aligned`` above 0 the vectors are turned by what the log says texts should be near for (``alignment``) instead.

An item without events is scored like any other; one without a text, and every item for an empty history or where there
are no texts at all, by popularity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.language.features import Features
from longgame.language.projection import reduce
from longgame.models.alignment import aligned
from longgame.models.histories import TIE_BREAK, known, matrix, popularity, recent
from longgame.models.space import OneOf, Real, Space
from longgame.shapes import check
from longgame.types import F32, I64

Pool = Literal["mean", "max"]


@dataclass(frozen=True)
class ContentConfig:
    """How a history of texts is read."""

    pool: Pool = "mean"
    """mean: near all of the history at once; max: near any item of it."""
    half_life: float = 4.0
    """Events after which an item of the history counts half."""
    recent: int = 10
    """Of max: items of the history that are looked at."""
    centre: bool = True
    """Whether the mean of the catalogue's vectors is taken off."""
    whiten: float = 0.5
    """How far the directions are evened out once centred: 0 keeps their variances, 1 makes all equal."""
    aligned: int = 0
    """Directions of who took what that are told from the texts (``alignment``), in place of the two above; 0: none."""

    SPACE: ClassVar[Space] = {
        "pool": OneOf(("mean", "max")),
        "half_life": OneOf((np.inf, 64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0)),
        "whiten": Real(0.0, 1.0),
        "aligned": OneOf((0, 64, 128)),
    }

    def __post_init__(self) -> None:
        if self.pool not in ("mean", "max") or not self.half_life > 0 or self.recent < 1:
            raise ConfigError(f"ContentConfig: pool mean or max, half_life above 0 and recent 1 or more, got {self}")
        if not 0 <= self.whiten <= 1:
            raise ConfigError(f"ContentConfig.whiten: must lie in [0, 1], got {self.whiten}")
        if self.aligned < 0:
            raise ConfigError(f"ContentConfig.aligned: must be 0 or more, got {self.aligned}")


class Content:
    """The catalogue's text vectors, evened out."""

    name = "content"

    def __init__(self, config: ContentConfig | None = None) -> None:
        self.config = config or ContentConfig()
        self._vectors: F32 = np.zeros((0, 0), np.float32)  # (I, X) unit rows, zeros where there is no text
        self._tie: F32 = np.zeros(0, np.float32)  # (I,)

    def fit(self, log: Interactions, features: F32) -> None:
        check({"I": len(log.items)}, ("features", features, "I X"))
        self._tie = TIE_BREAK * popularity(log)
        if self.config.aligned and (turned := aligned(log, features, self.config.aligned)) is not None:
            self._vectors = turned
            return
        if not self.config.centre or not features.any():
            length = np.linalg.norm(features, axis=1, keepdims=True)
            self._vectors = (features / np.where(length > 0, length, 1)).astype(np.float32)
            return
        wide = Features("content", log.items, features)
        self._vectors = reduce(wide, wide.width, self.config.whiten).apply(wide.vectors)

    def score(self, histories: I64) -> F32:
        histories = known(histories, len(self._tie))
        out: F32 = self._near_any(histories) if self.config.pool == "max" else self._near_all(histories)
        out += self._tie
        return out

    def _near_all(self, histories: I64) -> F32:
        taste = np.asarray(matrix(histories, len(self._tie), self.config.half_life) @ self._vectors, np.float32)
        length = np.linalg.norm(taste, axis=1, keepdims=True)
        near: F32 = np.divide(taste, length, out=np.zeros_like(taste), where=length > 1e-6) @ self._vectors.T
        return near

    def _near_any(self, histories: I64) -> F32:
        last = recent(histories, self.config.recent)[:, ::-1]  # newest first
        out = np.full((len(last), len(self._tie)), -np.inf, np.float32)
        for age, item in enumerate(last.T):
            some = np.flatnonzero(item >= 0)
            near = self._vectors[item[some]] @ self._vectors.T
            out[some] = np.maximum(out[some], np.float32(np.exp2(-age / self.config.half_life)) * near)
        return np.where(np.isneginf(out), np.float32(0), out)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return {"vectors": self._vectors.copy(), "tie": self._tie.copy()}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._vectors, self._tie = np.array(state["vectors"], np.float32), np.array(state["tie"], np.float32)
