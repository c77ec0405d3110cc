"""A log with some of its events gone wrong: what a misclick, a shared account or a bot leaves behind.

Models are fitted on such a log and judged by events that were left alone, so that what is measured is what the noise did to
the model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError, DataError
from longgame.types import F64, I64

Source = Literal["uniform", "popular"]
"""uniform: an item with events, drawn alike, as a slip of the hand takes one. popular: drawn as often as it has events, as
somebody else on the same account would take one; harder to tell from what was meant."""


def noisy(log: Interactions, share: float, rng: np.random.Generator, source: Source = "uniform") -> Interactions:
    """The log with the items of a drawn ``share`` of its events replaced by other items; users, times and values stay.

    The number of events is rounded. A drawn item is never the one it replaces, and may be one that the user has already.
    Raises ConfigError for a share outside [0, 1], DataError where there is no other item to draw.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"noisy: the share of events must lie in [0, 1], got {share}")
    if source not in ("uniform", "popular"):
        raise ConfigError(f"noisy: the source must be uniform or popular, got {source!r}")
    rows = rng.permutation(len(log))[: round(share * len(log))]
    if not len(rows):
        return log
    met, count = np.unique(log.item, return_counts=True)
    if len(met) < 2:
        raise DataError("noisy: needs two items with events, to put one in the place of the other, got one")
    item = log.item.copy()
    item[rows] = _others(log.item[rows], met, count / len(log) if source == "popular" else None, rng)
    return replace(log, item=item)


def _others(item: I64, met: I64, odds: F64 | None, rng: np.random.Generator) -> I64:
    """(n,) -> (n,) items of ``met`` drawn by ``odds``, each another than the one in its place: drawn until it is."""
    out, again = item.copy(), np.arange(len(item))
    while len(again):
        out[again] = rng.choice(met, len(again), p=odds)
        again = again[out[again] == item[again]]
    return out
