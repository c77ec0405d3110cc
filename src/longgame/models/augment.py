"""Histories changed a little, so that a network learns what does not depend on the little: crop, mask, reorder, substitute.

The first three are the operators of CL4SRec (Xie et al., "Contrastive Learning for Sequential Recommendation", ICDE 2022,
section 3.3), the fourth that of CoSeRec (Liu et al., "Contrastive Self-supervised Sequential Recommendation with Robust
Augmentation", 2021), with neighbours by text instead of by co-occurrence. All are functions of (B, L) positions, -1 where
there is nothing, and of the share of a row's events that is touched, rounded down as in the papers: short rows stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longgame.errors import ConfigError
from longgame.types import F32, I64, Bool

OPERATORS = ("crop", "mask", "reorder", "substitute")
BLIND: tuple[str, ...] = ("crop", "mask", "reorder")
"""Those that need no text; the three of CL4SRec."""
_NEAR = 5
"""Neighbours that an item may be substituted by."""
_PLAIN = 0.5
"""Share of the windows that are read as they are where inputs are augmented."""


def crop(rows: I64, share: float, rng: np.random.Generator) -> I64:
    """A run of each row's events, drawn alike among those as long; what lies outside is -1. ``share`` is what is lost."""
    count = (rows >= 0).sum(axis=1)
    return np.where(_run(rows, count - _touched(count, share), rng), rows, -1)


def mask(rows: I64, share: float, rng: np.random.Generator) -> I64:
    """Some events made -1. Their step stays, and nobody attends to it: there is no vector that means "something"."""
    return np.where(_some(rows, share, rng), -1, rows)


def reorder(rows: I64, share: float, rng: np.random.Generator) -> I64:
    """A run of each row's events in a drawn order."""
    inside = _run(rows, _touched((rows >= 0).sum(axis=1), share), rng)
    row, _ = np.nonzero(inside)
    out, values = rows.copy(), rows[inside]
    out[inside] = values[np.lexsort((rng.random(len(row)), row))]
    return out


def substitute(rows: I64, share: float, rng: np.random.Generator, near: I64) -> I64:
    """Some events on an item made events on one of its neighbours ``near`` (I, k); an item whose are -1 stays."""
    if not near.shape[1]:
        return rows.copy()
    other = near[rows, rng.integers(0, near.shape[1], rows.shape)]
    return np.where(_some(rows, share, rng) & (other >= 0), other, rows)


def neighbours(features: F32, pool: I64, count: int = _NEAR) -> I64:
    """(I, X) text vectors -> (I, k) the nearest others of ``pool`` (n,) by cosine, nearest first; -1 for an item without.

    Only items of the pool that have a text have and are neighbours.
    """
    told = pool[features[pool].any(axis=1)]
    near = np.full((len(features), max(0, min(count, len(told) - 1))), -1, np.int64)
    if not near.shape[1]:
        return near
    # The mean is what all texts share; without it they are told apart.
    unit = features[told] - features[told].mean(axis=0)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    for first in range(0, len(told), 1024):
        cosine = unit[first : first + 1024] @ unit.T
        own = np.arange(len(cosine))
        cosine[own, first + own] = -np.inf
        best = np.argpartition(-cosine, near.shape[1] - 1, axis=1)[:, : near.shape[1]]
        order = np.argsort(-np.take_along_axis(cosine, best, axis=1), axis=1, kind="stable")
        near[told[first : first + 1024]] = told[np.take_along_axis(best, order, axis=1)]
    return near


@dataclass(frozen=True)
class Augmentation:
    """Which operators, and how much of a history they touch."""

    names: Sequence[str]
    """Of ``OPERATORS``, one at least; of each row one is drawn."""
    share: float
    """Of a row's events, in (0, 1)."""
    near: I64
    """(I, k) as :func:`neighbours` gives them, for "substitute"; (I, 0) where there are none."""

    def __post_init__(self) -> None:
        if not self.names or set(self.names) - set(OPERATORS):
            raise ConfigError(f"Augmentation.names: must be some of {', '.join(OPERATORS)}, got {tuple(self.names)}")
        if not 0 < self.share < 1:
            raise ConfigError(f"Augmentation.share: must lie in (0, 1), got {self.share}")

    def view(self, rows: I64, rng: np.random.Generator) -> I64:
        """(B, L) -> (B, L), each row by an operator drawn for it."""
        return self._applied(rows, rng)[0]

    def inputs(self, before: I64, target: I64, rng: np.random.Generator) -> tuple[I64, I64]:
        """(B, L) what is read and (B, L) what should be said after each step -> the same, half of the rows augmented.

        What should be said stays, but for the steps inside a run that was reordered: they read what came later.
        """
        read, reordered = self._applied(before, rng)
        plain = rng.random(len(before)) < _PLAIN
        read[plain], reordered[plain] = before[plain], False
        return read, np.where(_mixed(before, read) & reordered[:, None], -1, target)

    def _applied(self, rows: I64, rng: np.random.Generator) -> tuple[I64, Bool]:
        """The rows, and (B,) which of them were reordered."""
        drawn, out = rng.integers(0, len(self.names), len(rows)), rows.copy()
        reordered = np.zeros(len(rows), np.bool_)
        for number, name in enumerate(self.names):
            some = drawn == number
            if name == "substitute":
                out[some] = substitute(rows[some], self.share, rng, self.near)
            else:
                out[some] = {"crop": crop, "mask": mask, "reorder": reorder}[name](rows[some], self.share, rng)
            reordered |= some & (name == "reorder")
        return out, reordered


def _touched(count: I64, share: float) -> I64:
    out: I64 = np.floor(share * count + 1e-9).astype(np.int64)  # .3 of 10 is 3, whatever the last bit says
    return out


def _run(rows: I64, length: I64, rng: np.random.Generator) -> Bool:
    """(B, L) and (B,) -> (B, L) True on so many events of each row that follow each other."""
    there = rows >= 0
    start = (rng.random(len(rows)) * (there.sum(axis=1) - length + 1)).astype(np.int64)
    place = np.cumsum(there, axis=1) - 1 - start[:, None]
    inside: Bool = there & (place >= 0) & (place < length[:, None])
    return inside


def _some(rows: I64, share: float, rng: np.random.Generator) -> Bool:
    """(B, L) True on so many events of each row, drawn alike."""
    there = rows >= 0
    lot = np.where(there, rng.random(rows.shape), np.inf)
    place = np.argsort(np.argsort(lot, axis=1), axis=1)
    out: Bool = place < _touched(there.sum(axis=1), share)[:, None]
    return out


def _mixed(before: I64, after: I64) -> Bool:
    """(B, L) True from the first step that was changed to the one before the last."""
    changed = before != after
    begun = np.cumsum(changed, axis=1)
    mixed: Bool = (begun > 0) & (begun < changed.sum(axis=1, keepdims=True))
    return mixed
