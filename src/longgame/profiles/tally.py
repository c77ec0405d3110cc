"""The sums a profile is made of. Each event adds to them once; nothing ever asks for the events again.

An event weighs half as much once the user's newest event is ``half_life`` later. So the sums do not depend on the order in
which events arrive, and an update costs the same after ten events and after ten thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longgame.types import F64

RATED, RESIDUAL, TAKEN, LEANING, ROWS = 0, 1, 2, 3, 4
"""Rows of the sums: weight of rated events, of how much better than usual they were, of others, of what those mean."""


@dataclass(frozen=True)
class Tally:
    """Weighted sums over a user's events, for each of G tags and, in the last column, for all events."""

    sums: F64
    """(4, G+1) as of the newest event"""
    events: int
    """Unweighted."""
    rated: int
    """Unweighted, of those with a value."""
    newest: int
    """microseconds; of no meaning without events"""

    @staticmethod
    def empty(tags: int) -> Tally:
        return Tally(np.zeros((ROWS, tags + 1)), 0, 0, 0)

    def add(self, worth: F64, tagged: F64, at: int, half_life: float) -> Tally:
        """One event more: its ``worth`` (4,), a row of each kind, on the tags of ``tagged`` (G+1,)."""
        newest = max(self.newest, at) if self.events else at
        kept = self.sums * _weight(newest - self.newest, half_life) if self.events else self.sums
        sums = kept + np.outer(worth * _weight(newest - at, half_life), tagged)
        return Tally(sums, self.events + 1, self.rated + int(worth[RATED] > 0), newest)

    @staticmethod
    def of(worth: F64, tagged: F64, at: Sequence[int], half_life: float) -> Tally:
        """All events at once: (n, 4), (n, G+1) and n moments. Equal to adding one after another, but for rounding."""
        if not at:
            return Tally.empty(tagged.shape[1] - 1)
        newest = max(at)
        weights = np.array([_weight(newest - moment, half_life) for moment in at])
        sums = (worth * weights[:, None]).T @ tagged
        return Tally(sums, len(at), int((worth[:, RATED] > 0).sum()), newest)


def _weight(ago: int, half_life: float) -> float:
    return float(2.0 ** (-ago / half_life))
