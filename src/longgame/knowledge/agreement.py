"""Whether a graph is joined to the right items: do its facts agree with what the catalogue says of them?

The links of a graph are ids, and ids of another edition of a catalogue look like ids of this one. A graph that is joined to the
wrong items is worse than none, and nothing fails. But films that share a genre in the catalogue share facts in the graph, if
they are the same films: a permutation test (Mantel, "The detection of disease clustering", Cancer Research 1967).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from longgame.knowledge.vectors import GraphVectors
from longgame.rng import derive
from longgame.types import F32, F64, Attribute, ItemId

_SHUFFLES = 199


@dataclass(frozen=True)
class Agreement:
    """How the join that is given compares with joins at random."""

    z: float
    """Deviations by which it agrees better than those do, on average."""
    p: float
    """Share of joins that agree at least as well, the given one counted in."""
    items: int
    """That have both attributes and facts."""


def agreement(vectors: GraphVectors, attributes: Mapping[ItemId, Mapping[str, Attribute]]) -> Agreement | None:
    """None where fewer than ten items have words as attributes that others share, and facts: then nothing can be said."""
    some = [row for row, id in enumerate(vectors.ids) if attributes.get(id) and vectors.vectors[row].any()]
    said = _words([attributes[vectors.ids[row]] for row in some])
    told = said.any(axis=1)
    facts = vectors.vectors[np.array(some, np.int64)[told]].astype(np.float64) if some else np.zeros((0, 0))
    if len(facts) < 10 or not facts.size:
        return None
    words: F64 = said[told] - said[told].mean(axis=0)
    facts = facts - facts.mean(axis=0)
    rng = derive(0, "graph", "agreement", vectors.version)

    def alike(order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        """Sum over all pairs of items of the product of both likenesses."""
        return float(np.square(words.T @ facts[order]).sum())

    seen = alike(np.arange(len(facts)))
    drawn = np.array([alike(rng.permutation(len(facts))) for _ in range(_SHUFFLES)])
    spread = float(drawn.std())
    z = (seen - float(drawn.mean())) / spread if spread > 0 else 0.0
    return Agreement(z, (int((drawn >= seen - 1e-12).sum()) + 1) / (_SHUFFLES + 1), len(facts))


def _words(held: Sequence[Mapping[str, Attribute]]) -> F32:
    """(n, W) unit rows over the words that two or more items share, rarer ones heavier; numbers and flags are left out."""
    rows, columns, place = [], [], dict[tuple[str, str], int]()
    for row, attributes in enumerate(held):
        for name, value in attributes.items():
            for word in value if isinstance(value, tuple) else (value,):
                if isinstance(word, str) and word:
                    rows.append(row)
                    columns.append(place.setdefault((name, word), len(place)))
    count = np.bincount(np.array(columns, np.int64), minlength=len(place))
    kept = np.flatnonzero((count > 1) & (count < len(held)))
    new = np.full(len(place), -1)
    new[kept] = np.arange(len(kept))
    out = np.zeros((len(held), len(kept)), np.float32)
    for row, column in zip(rows, columns, strict=True):
        if new[column] >= 0:
            out[row, new[column]] = np.log(len(held) / count[column])
    norm = np.linalg.norm(out, axis=1, keepdims=True)
    return np.asarray(out / np.where(norm > 0, norm, 1), np.float32)
