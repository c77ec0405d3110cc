"""The sums a profile is made of. Each event adds to them once; nothing ever asks for the events again.

An event weighs half as much once the user's newest event is ``half_life`` later. So the sums do not depend on the order in
which events arrive, and an update costs the same after ten events and after ten thousand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from longgame.profiles.tastes import moments_of
from longgame.types import F64, I64

RATED, RESIDUAL, TAKEN, LEANING, ROWS = 0, 1, 2, 3, 4
"""Rows of the sums: weight of rated events, of how much better than usual they were, of others, of what those mean."""


@dataclass(frozen=True)
class Marks:
    """What n events add."""

    worth: F64
    """(n, 4) in the order of the rows"""
    tagged: F64
    """(n, G+1) 1 for each tag of the item, and in the last column"""
    loading: F64
    """(n, K) of the item among the tastes; zeros where the event says nothing of them"""
    at: I64
    """(n,) microseconds"""


@dataclass(frozen=True)
class Tally:
    """Weighted sums over a user's events."""

    sums: F64
    """(4, G+1) for each tag and, in the last column, for all events, as of the newest event"""
    moments: F64
    """(K, K+2) of the tastes (``tastes.moments_of``)"""
    events: int
    """Unweighted."""
    rated: int
    """Unweighted, of those with a value."""
    newest: int
    """microseconds; of no meaning without events"""

    @staticmethod
    def empty(tags: int, tastes: int) -> Tally:
        return Tally(np.zeros((ROWS, tags + 1)), np.zeros((tastes, tastes + 2)), 0, 0, 0)

    def add(self, marks: Marks, half_life: float) -> Tally:
        """So many events more. One after another, in any order, or all at once: it comes to the same, but for rounding."""
        if not len(marks.at):
            return self
        newest = max(int(marks.at.max()), self.newest) if self.events else int(marks.at.max())
        weight = np.exp2((marks.at - newest) / half_life)
        kept = 2.0 ** ((self.newest - newest) / half_life) if self.events else 0.0
        sums = self.sums * kept + (marks.worth * weight[:, None]).T @ marks.tagged
        of_rated = marks.worth[:, RATED] * weight
        moments = self.moments * kept + moments_of(marks.loading, marks.worth[:, RESIDUAL], of_rated)
        rated = int((marks.worth[:, RATED] > 0).sum())
        return Tally(sums, moments, self.events + len(marks.at), self.rated + rated, newest)
