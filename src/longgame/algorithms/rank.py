"""The policy before any learning: follow the order of the candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from longgame.arrays import State
from longgame.artefacts import Arrays
from longgame.errors import ConfigError
from longgame.types import F32, Bool


class RankPolicy:
    """Prefers candidate 1 to candidate 2, whatever they are: the retriever decides, the draw explores.

    A candidate of rank r (from 0) has the log-preference ``-sharpness * log(1 + r)``.
    """

    def __init__(self, sharpness: float = 1.0) -> None:
        if sharpness < 0:
            raise ConfigError(f"RankPolicy.sharpness: must be 0 or more, got {sharpness}")
        self._sharpness, self.version = sharpness, f"rank-{sharpness:g}"

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        rank = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
        out: F32 = (-self._sharpness * np.log1p(rank)).astype(np.float32)
        return out

    def state_dict(self) -> Arrays:
        return {}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "rank", "sharpness": self._sharpness}
