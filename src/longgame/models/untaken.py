"""What learning by pairs sets beside an event: an item that its user never took, the first of a few that are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from longgame.types import I64

if TYPE_CHECKING:
    from scipy.sparse import csr_array

TRIES = 4
"""Draws of an item for an event; where the user took them all, the event teaches nothing."""


@dataclass(frozen=True)
class Untaken:
    """Who took what, to be asked of many pairs at once."""

    taken: csr_array
    """(U, I), an entry where the user took the item; the columns of a row ascending"""

    @cached_property
    def _codes(self) -> I64:
        """A number for each entry, ascending, and behind them one that is no entry's."""
        user = np.repeat(np.arange(self.taken.shape[0]), np.diff(self.taken.indptr))
        return np.append(user * np.int64(self.taken.shape[1]) + self.taken.indices, -1)

    def first(self, user: I64, others: I64) -> I64:
        """(n,) users and (n, tries) items drawn for each -> (n,) the first that the user never took, -1 for none."""
        asked = user[:, None] * np.int64(self.taken.shape[1]) + others
        free = self._codes[np.searchsorted(self._codes[:-1], asked)] != asked
        first = np.take_along_axis(others, free.argmax(axis=1)[:, None], axis=1)[:, 0]
        return np.where(free.any(axis=1), first, -1)
