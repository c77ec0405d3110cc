"""Whether items that are near by their texts are those that the same people took.

An item's true neighbours are the ``NEAR`` whose takers are most like its own, by cosine, over all events, where so many have a
taker in common with it; Recall@``NEAR`` is the share of them among the ``NEAR`` nearest by text. *As it is* is the product of a
reader's vectors, *centred* with the mean of the catalogue taken off. *Aligned* (``models.alignment``): turned by who took the
other items. Nothing of an item that is asked for is known then: items are dealt to ``PARTS`` parts, and each part's neighbours
are found by what was learned from the takers of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import DataError
from longgame.evaluation.intervals import crossed
from longgame.evaluation.language import Reading, Told
from longgame.language.features import Features
from longgame.language.projection import reduce
from longgame.models.alignment import aligned
from longgame.models.histories import seen_matrix
from longgame.rng import derive
from longgame.types import F32, F64, I64, Bool

NEAR, PARTS = 100, 5
WIDTH = 64
"""Directions of who took what."""
_ROWS = 512
"""Items at a time: all pairs of a large catalogue do not fit."""


@dataclass(frozen=True)
class Truth:
    """The true neighbours."""

    log: Interactions
    near: I64
    """(I, NEAR) positions; -1 where fewer items have a taker in common"""

    @staticmethod
    def of(log: Interactions) -> Truth:
        """Raises DataError where there are too few items for that many to be near."""
        if len(log.items) < 2 * NEAR:
            raise DataError(f"neighbours: needs {2 * NEAR} items with a text and events, or more, got {len(log.items):,}")
        taken = seen_matrix(log).astype(np.float64).tocsc()
        length = np.sqrt(np.asarray(taken.sum(axis=0)).ravel())
        unit = taken.multiply(1 / np.maximum(length, 1.0)[None, :]).tocsc()
        turned = unit.T.tocsr()
        near = nearest(len(log.items), lambda rows: np.asarray((turned[rows] @ unit).todense()), least=0.0)
        return Truth(log, near)

    def recall(self, near: I64) -> F64:
        """(I, NEAR) found -> (I,) share of the true ones among them; NaN for an item without any."""
        out = np.full(len(near), np.nan)
        for row, (own, other) in enumerate(zip(self.near, near, strict=True)):
            true = own[own >= 0]
            if len(true):
                out[row] = np.isin(true, other).sum() / len(true)
        return out

    def by_vectors(self, vectors: F32) -> F64:
        """(I,) recall of the nearest of (I, D) unit rows."""
        return self.recall(nearest(len(vectors), partial(_products, vectors)))

    def by_alignment(self, features: F32, width: int, seed: int) -> F64:
        """(I,) recall where the vectors of a part of the items at a time are learned from the takers of the others."""
        out = np.full(len(self.log.items), np.nan)
        part = derive(seed, "parts").permutation(len(self.log.items)) % PARTS
        for number in range(PARTS):
            new = part == number
            vectors = aligned(self.log.select(~new[self.log.item]), features, width)
            if vectors is None:
                raise DataError("neighbours: too few items are known by their events to learn from")
            rows = np.flatnonzero(new)
            some = nearest(len(vectors), partial(_products, vectors), of=rows)
            out[rows] = Truth(self.log, self.near[rows]).recall(some)
        return out

    def by_popularity(self) -> F64:
        """(I,) recall of the most taken items, the same for every item: what is found without a text."""
        taken = np.bincount(self.log.item, minlength=len(self.log.items)).astype(np.float64)
        return self.recall(nearest(len(taken), lambda rows: np.tile(taken, (len(rows), 1))))


def _products(vectors: F32, rows: I64) -> F64:
    out: F64 = (vectors[rows] @ vectors.T).astype(np.float64)
    return out


def nearest(count: int, likeness: Callable[[I64], F64], least: float = -np.inf, of: I64 | None = None) -> I64:
    """(n, NEAR) the largest above ``least`` of each row of ``likeness`` (rows -> (rows, I)) but the row itself; of equals the
    first. ``of`` are the rows, without it all ``count``; -1 where there are fewer."""
    rows = np.arange(count) if of is None else of
    out = np.full((len(rows), NEAR), -1, np.int64)
    for first in range(0, len(rows), _ROWS):
        some = rows[first : first + _ROWS]
        told = np.array(likeness(some), np.float64)
        told[np.arange(len(some)), some] = -np.inf
        out[first : first + len(some)] = _largest(told, least)
    return out


def _largest(told: F64, least: float) -> I64:
    bound = np.partition(told, -NEAR, axis=1)[:, -NEAR:].min(axis=1, keepdims=True)
    sure, level = told > bound, told == bound
    room = NEAR - sure.sum(axis=1, keepdims=True)
    kept: Bool = (sure | (level & (np.cumsum(level, axis=1) <= room))) & (told > least)
    out = np.full((len(told), NEAR), -1, np.int64)
    row, column = np.nonzero(kept)
    place = np.arange(len(row)) - np.searchsorted(row, np.arange(len(told)))[row]
    out[row, place] = column
    return out


def unit(vectors: F32) -> F32:
    """Rows of length 1; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def centred(log: Interactions, vectors: F32) -> F32:
    """Unit rows, the mean of the catalogue taken off."""
    wide = Features("text", log.items, vectors)
    return reduce(wide, wide.width, 0.0).apply(wide.vectors)


def neighbours(
    log: Interactions,
    readers: Mapping[str, F32],
    plain: Mapping[str, F32],
    seeds: int = 3,
    width: int = WIDTH,
    on_row: Callable[[Reading], None] = lambda row: None,
) -> list[Reading]:
    """Readers with a language model and ``plain`` ones (name -> (I, X) vectors of the items of ``log``), as they are, centred
    and aligned; the most taken items; and the first reader aligned with texts of other items.

    ``seeds`` dealings of the parts; intervals are over items and dealings together. Raises DataError for too few items.
    """
    truth, out = Truth.of(log), list[Reading]()
    if not (truth.near >= 0).any():
        raise DataError("neighbours: no two items have a taker in common")

    def judged(name: str, told: Told, values: F64) -> None:
        out.append(Reading(name, {f"recall@{NEAR}": crossed(values, derive(0, "text neighbours"))}, told=told))
        on_row(out[-1])

    def dealt(vectors: F32) -> F64:
        return np.stack([truth.by_alignment(vectors, width, seed) for seed in range(seeds)])

    kinds: tuple[tuple[Told, Mapping[str, F32]], ...] = (("with", readers), ("without", plain))
    for told, ways in kinds:
        for name, vectors in ways.items():
            judged(f"{name}, aligned", told, dealt(vectors))
            judged(f"{name}, centred", told, truth.by_vectors(centred(log, vectors))[None])
            judged(f"{name}, as it is", told, truth.by_vectors(unit(vectors))[None])
    judged("the most taken items", "without", truth.by_popularity()[None])
    first, vectors = next(iter(readers.items()))
    drawn = derive(0, "shuffled").permutation(len(vectors))
    judged(f"{first}, aligned, texts of other items", "shuffled", dealt(vectors[drawn]))
    return out
