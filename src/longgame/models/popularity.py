"""What most people took, the same for everyone: the baseline that every other number stands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models.space import OneOf, Space
from longgame.shapes import check
from longgame.types import F32, I64

_DAY = 86_400_000_000


@dataclass(frozen=True)
class PopularityConfig:
    """How fast popularity fades."""

    half_life: float = 0.0
    """Days after which an event counts half, measured back from the log's last one. 0: events never fade."""

    SPACE: ClassVar[Space] = {"half_life": OneOf((0.0, 7.0, 30.0, 90.0, 365.0))}

    def __post_init__(self) -> None:
        if not self.half_life >= 0:
            raise ConfigError(f"PopularityConfig.half_life: must be 0 or more days, got {self.half_life}")


class Popularity:
    """Events per item, as a share of the most popular item's."""

    name = "popularity"

    def __init__(self, config: PopularityConfig | None = None) -> None:
        self.config = config or PopularityConfig()
        self._share: F32 = np.zeros(0, np.float32)  # (I,)

    def fit(self, log: Interactions, features: F32) -> None:
        weight = None
        if self.config.half_life > 0 and len(log):
            weight = np.exp2((log.at - log.at.max()) / (_DAY * self.config.half_life))
        count = np.bincount(log.item, weight, minlength=len(log.items))
        self._share = (count / max(count.max(initial=0.0), 1e-300)).astype(np.float32)

    def score(self, histories: I64) -> F32:
        sizes = check({}, ("histories", histories, "B T"))
        return np.tile(self._share, (sizes["B"], 1))

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return {"share": self._share.copy()}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._share = np.array(state["share"], np.float32)
