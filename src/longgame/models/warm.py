"""The items with events, in order of their ids: what factors and networks of item numbers are made over.

So no draw depends on the catalogue's order, and an item without events is no negative in training, which would bury it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.errors import ArtefactError
from longgame.models.histories import TIE_BREAK, known, popularity, recent
from longgame.types import F32, I64, ItemId


@dataclass(frozen=True)
class Warm:
    """A items with events among the I of a catalogue; their row is their place here."""

    position: I64
    """(A,) in the catalogue"""
    tie: F32
    """(I,) what each item's popularity adds to its score, to decide between equals"""

    @staticmethod
    def of(log: Interactions) -> Warm:
        rows = sorted(np.unique(log.item).tolist(), key=lambda row: log.items[row])
        return Warm(np.array(rows, np.int64), TIE_BREAK * popularity(log))

    @staticmethod
    def of_arrays(state: Mapping[str, np.ndarray[Any, Any]]) -> Warm:
        """The inverse of :meth:`arrays`. Raises ArtefactError."""
        if missing := {"warm", "tie"} - state.keys():
            raise ArtefactError(f"checkpoint: {', '.join(sorted(missing))} must be there, got {', '.join(sorted(state))}")
        return Warm(np.array(state["warm"], np.int64), np.array(state["tie"], np.float32))

    def __len__(self) -> int:
        return len(self.position)

    @cached_property
    def column(self) -> I64:
        """(I+1,) position -> row, -1 for an item without events and for position -1."""
        out = np.full(len(self.tie) + 1, -1, np.int64)
        out[self.position] = np.arange(len(self))
        return out

    @cached_property
    def padded(self) -> I64:
        """(I+1,) as :attr:`column`, with A in place of -1: the row behind the others, for what is none of them."""
        return np.where(self.column < 0, len(self), self.column)

    @property
    def own_tie(self) -> F32:
        """(A,) of the items with events."""
        out: F32 = self.tie[self.position]
        return out

    def ids(self, log: Interactions) -> tuple[ItemId, ...]:
        """Of the rows, in ``log``'s catalogue."""
        return tuple(log.items[position] for position in self.position)

    def rows(self, histories: I64) -> I64:
        """(B, T) positions as ``Model.score`` has them -> (B, T') rows, padding in front, repeats in a row taken once."""
        return recent(self.column[known(histories, len(self.tie))], max(1, histories.shape[1]))

    def spread(self, told: F32) -> F32:
        """(B, A) scores -> (B, I), an item without events 1 below the least of the others."""
        least = told.min(axis=1, keepdims=True) if len(self) else np.ones((len(told), 1), np.float32)
        out = np.repeat(least - np.float32(1), len(self.tie), axis=1)
        out[:, self.position] = told
        return out

    def whole(self, rows: F32) -> F32:
        """(A, ...) -> (I, ...), zeros for an item without events."""
        out = np.zeros((len(self.tie), *rows.shape[1:]), np.float32)
        out[self.position] = rows
        return out

    def arrays(self) -> Arrays:
        """Copies, for a checkpoint."""
        return {"warm": self.position.copy(), "tie": self.tie.copy()}
