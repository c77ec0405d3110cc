"""What most people took, the same for everyone: the baseline that every other number stands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.models.kept import array_to_ids, check_grown, ids_to_array
from longgame.models.space import OneOf, Space
from longgame.shapes import check
from longgame.types import F32, F64, I64, ItemId

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
        self._load(np.zeros(0), 0, ())

    def fit(self, log: Interactions, features: F32) -> None:
        last = int(log.at.max()) if len(log) else 0
        self._load(self._counts(log, last), last, log.items)

    def update(self, more: Interactions) -> None:
        """As ``protocols.Incremental``; equals a fit on the whole log."""
        check_grown("Popularity.update", self._items, more.items)
        last = max(self._last, int(more.at.max())) if len(more) else self._last
        count = self._counts(more, last)
        count[: len(self._count)] += self._count * self._weight(np.array([self._last - last]))
        self._load(count, last, more.items)

    def _weight(self, age: I64) -> F64:
        """(n,) microseconds since the newest event, 0 or less -> (n,) what an event counts."""
        return np.exp2(age / (_DAY * self.config.half_life)) if self.config.half_life > 0 else np.ones(len(age))

    def _counts(self, log: Interactions, last: int) -> F64:
        """(I,) events of each item, as they count at the moment ``last``."""
        return np.bincount(log.item, self._weight(log.at - last), minlength=len(log.items)).astype(np.float64)

    def score(self, histories: I64) -> F32:
        sizes = check({}, ("histories", histories, "B T"))
        return np.tile(self._share, (sizes["B"], 1))

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        return {"count": self._count.copy(), "last": np.array([self._last]), "items": ids_to_array(self._items)}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        items = tuple(ItemId(item) for item in array_to_ids(state["items"]))
        self._load(np.array(state["count"], np.float64), int(state["last"][0]), items)

    def _load(self, count: F64, last: int, items: tuple[ItemId, ...]) -> None:
        self._count, self._last, self._items = count, last, items  # (I,), microseconds, I ids
        self._share = (count / max(count.max(initial=0.0), 1e-300)).astype(np.float32)  # (I,)
