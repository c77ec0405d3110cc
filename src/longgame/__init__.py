"""longgame: a self-hosted recommender that plays the long game.

The public nouns, each loaded when it is first used: ``import longgame`` itself costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longgame.arrays import Batch, Candidates, Interactions, State
    from longgame.datasets import open_source
    from longgame.errors import LonggameError
    from longgame.language import Features, understand
    from longgame.recommender import Recommender
    from longgame.settings import Settings, load_settings
    from longgame.slate import Exploration
    from longgame.store import open_store
    from longgame.types import Decision, Event, Item, Objective, Request, User, Versions

__version__ = "0.1.0"

_HOMES = {
    "Batch": "arrays",
    "Candidates": "arrays",
    "Decision": "types",
    "Event": "types",
    "Exploration": "slate",
    "Features": "language",
    "Interactions": "arrays",
    "Item": "types",
    "LonggameError": "errors",
    "Objective": "types",
    "Recommender": "recommender",
    "Request": "types",
    "Settings": "settings",
    "State": "arrays",
    "User": "types",
    "Versions": "types",
    "load_settings": "settings",
    "open_source": "datasets",
    "open_store": "store",
    "understand": "language",
}
"""Public name -> the module it lives in."""

__all__ = [  # in the order of the flow
    "Item",
    "User",
    "Event",
    "Request",
    "Decision",
    "Versions",
    "Objective",
    "State",
    "Candidates",
    "Batch",
    "Interactions",
    "LonggameError",
    "open_store",
    "open_source",
    "understand",
    "Features",
    "Exploration",
    "Recommender",
    "Settings",
    "load_settings",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'longgame' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"longgame.{home}"), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
