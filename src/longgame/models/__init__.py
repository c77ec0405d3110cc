"""Log -> scores over the whole catalogue: the baselines, and the network that policies start from. One file a model.

Every one keeps ``protocols.Model``; ``tests/contracts/test_model.py`` runs on each line of the table.
"""

from __future__ import annotations

from collections.abc import Callable

from longgame.models.ease import Ease, EaseConfig
from longgame.models.item_knn import ItemKNN, ItemKNNConfig
from longgame.models.popularity import Popularity, PopularityConfig
from longgame.protocols import Model


def _sequence() -> Model:
    from longgame.models.sequence import SequenceModel  # torch loads here, not with the package

    return SequenceModel()


MODELS: dict[str, Callable[[], Model]] = {
    "popularity": Popularity,
    "item-knn": ItemKNN,
    "ease": Ease,
    "sequence": _sequence,
}
"""Name -> a model with its default config that has learned nothing yet: one of an empty catalogue."""

__all__ = ["MODELS", "Ease", "EaseConfig", "ItemKNN", "ItemKNNConfig", "Popularity", "PopularityConfig"]
