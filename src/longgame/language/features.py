"""Catalogue -> a frozen table of item vectors.

A table's ``version`` names the recipe (model and prompt), never the table: a new item must not make
every logged decision unreadable. Item positions follow the order the items are given in, so a
catalogue that only grows keeps every position it ever had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from longgame.errors import DataError
from longgame.language.cache import VectorCache, embed_in_batches
from longgame.language.prompt import RECIPE, describe
from longgame.protocols import ItemIndex, LanguageModel
from longgame.shapes import check
from longgame.types import F32, I64, Item, ItemId


@dataclass(frozen=True, eq=False)
class Features:
    """Item vectors, row i for ``ids[i]``. Read-only; copied once when built."""

    version: str
    """The recipe: model, prompt, projection."""
    ids: tuple[ItemId, ...]
    vectors: F32
    """(I, D)"""
    beside: int = 0
    """How many of the last numbers are no part of the text: a projection keeps them as they are."""
    index: ItemIndex = field(init=False, repr=False)
    """Item id -> position."""
    _padded: F32 = field(init=False, repr=False)
    """(I+1, D): the vectors and a row of zeros, which is where position -1 points."""

    def __post_init__(self) -> None:
        sizes = check({"I": len(self.ids)}, ("Features.vectors", self.vectors, "I D"))
        index: Mapping[ItemId, int] = {id: row for row, id in enumerate(self.ids)}
        if len(index) != len(self.ids):
            twice = next(id for row, id in enumerate(self.ids) if index[id] != row)
            raise DataError(f"Features.ids: every item must appear once, got {twice!r} more than once")
        padded = np.zeros((sizes["I"] + 1, sizes["D"]), np.float32)
        padded[:-1] = self.vectors
        if not np.isfinite(padded).all():
            raise DataError(f"Features.vectors: every number must be finite, got nan or inf (version {self.version})")
        padded.flags.writeable = False
        for name, value in (("index", index), ("_padded", padded), ("vectors", padded[:-1])):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def width(self) -> int:
        """D"""
        return int(self.vectors.shape[1])

    def positions(self, ids: Iterable[ItemId]) -> I64:
        """(n,) position of each item, -1 where it is unknown."""
        get = self.index.get
        return np.array([get(id, -1) for id in ids], np.int64)

    def take(self, positions: I64) -> F32:
        """Positions of any shape (...,) -> (..., D), zeros for -1. A copy."""
        return self._padded[positions]

    def widened(self, version: str, columns: F32) -> Features:
        """The same items with ``columns`` (I, X) behind their vectors, no part of the text; ``version`` names them."""
        wide = np.concatenate([self.vectors, columns], axis=1)
        return Features(f"{self.version}+{version}", self.ids, wide, self.beside + columns.shape[1])

    def rows(self, ids: Iterable[ItemId]) -> F32:
        """(n, D); an unknown item is a row of zeros, and so never raises while serving."""
        return self._padded[self.positions(ids)]


def understand(
    items: Iterable[Item],
    model: LanguageModel,
    cache: VectorCache | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Features:
    """Reads every item with ``model``, and with a ``cache`` only those whose text it has not read before.

    ``on_progress(done, total)`` counts items as their batch is safe on disk, starting with what the cache
    already held. A run that is killed loses at most one batch.
    """
    rows = list(items)
    texts = [describe(item) for item in rows]
    vectors = embed_in_batches(model, texts, on_progress) if cache is None else cache.embed(model, texts, on_progress)
    return Features(f"{model.name}+{RECIPE}", tuple(item.id for item in rows), vectors)


def numeric_columns(items: Sequence[Item]) -> tuple[tuple[str, ...], F32]:
    """Names (X,) of the numeric attributes and flags, and their columns (I, X).

    Each column has mean 0 and deviation 1 over the items that have it, cut at 4 deviations; an item that
    lacks it has 0, the mean. A column of one value is 0.
    """
    names = tuple(sorted({name for item in items for name, value in item.attributes.items() if _is_number(value)}))
    table = np.full((len(items), len(names)), np.nan)
    for column, name in enumerate(names):
        values = (item.attributes.get(name) for item in items)
        table[:, column] = [float(v) if isinstance(v, (int, float)) else np.nan for v in values]
    known = np.isfinite(table)
    count = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, table - np.where(known, table, 0).sum(axis=0) / count, 0)
    scale = np.sqrt((centred**2).sum(axis=0) / count)
    return names, np.clip(centred / np.where(scale > 1e-12, scale, np.inf), -4, 4).astype(np.float32)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))
