"""What a log says texts should be near for: text vectors turned so that items which the same people took lie together.

Texts are near each other for many reasons, and most of them move nobody. Of items with events it is known who took them: the
cosine of two items' takers is C = B'B, B being the users by items, each column a unit vector. Its leading eigenvectors times
the roots of their eigenvalues are the D numbers of an item whose products come nearest to C (Eckart and Young, 1936). Ridge
regression tells those numbers from the text, for items with and without events alike: the content-to-collaborative mapping
of Gantner et al. ("Learning Attribute-to-Feature Mappings for Cold-Start Recommendations", ICDM 2010), whose factors were
those of BPR.
"""

from __future__ import annotations

import numpy as np

from longgame.arrays import Interactions
from longgame.language.ridge import Ridge
from longgame.models.histories import seen_matrix
from longgame.rng import derive
from longgame.spectral import columns, leading
from longgame.types import F32, F64, I64

TAKERS = 2
"""An item whose texts are learned from was taken by so many users at least: of one taker nobody is told apart."""
LEAST = 32
"""Items that are learned from, at least."""


def directions(log: Interactions, items: I64, width: int) -> F64:
    """(n, D) numbers of the ``items`` (n,) by who took them, D = ``width`` or as many as there are. Signs are settled."""
    taken = seen_matrix(log)[:, items].astype(np.float64)
    length = np.sqrt(np.asarray(taken.sum(axis=0)).ravel())
    unit = taken.multiply(1 / np.maximum(length, 1.0)[None, :]).tocsr()
    turned = unit.T.tocsr()
    start = derive(0, "alignment", "start").standard_normal((unit.shape[0], columns(width, unit.shape)))
    vectors, size = leading(lambda v: np.asarray(turned @ v), lambda u: np.asarray(unit @ u), width, start)
    return vectors * size


def aligned(log: Interactions, features: F32, width: int) -> F32 | None:
    """(I, X) text vectors -> (I, D) unit rows, zeros where there is no text. None where too few were taken.

    Items are told by their texts alone, also those that were learned from: so old and new ones lie in one space.
    """
    takers = np.asarray(seen_matrix(log).sum(axis=0)).ravel()
    known = np.flatnonzero((takers >= TAKERS) & features.any(axis=1))
    if len(known) < LEAST:
        return None
    out = Ridge.fit(features[known], directions(log, known, width)).predict(features)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    told = features.any(axis=1, keepdims=True) & (length > 0)
    return np.where(told, out / np.where(length > 0, length, 1), 0).astype(np.float32)
