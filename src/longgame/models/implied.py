"""What SVD++ and its heir in time share: that a user rated an item says something of him, whatever the rating.

Koren, KDD 2008, eq. 15: |N(u)|^-1/2 sum over j in N(u) of y_j, beside the user's own factors p_u. ``Weights`` here have
"users" p, "user bias", "items" q and "implied" y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from longgame.arrays import Interactions
from longgame.models.histories import TIE_BREAK, known, matrix, popularity
from longgame.models.rating_fit import Weights, ranked_bias, rated, tellers, usual
from longgame.types import F32, I64

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def table(log: Interactions) -> csr_array:
    """Sparse (U, I): one over the square root of how many items the user rated, at each of them."""
    from scipy.sparse import csr_array

    worth = 1 / np.sqrt(np.repeat(np.diff(log.offsets), np.diff(log.offsets)))
    return csr_array((worth.astype(np.float32), log.item, log.offsets), shape=(len(log.users), len(log.items)))


def usual_taken(log: Interactions) -> F32:
    """(I,) ``rating_fit.usual`` of :func:`table`."""
    met = max(1, int(np.count_nonzero(np.diff(log.offsets))))
    return (np.asarray(table(log).sum(axis=0, dtype=np.float64)) / met).astype(np.float32)


def add_implied(log: Interactions, weights: Weights, user: I64, vectors: F32, bias: F32) -> None:
    """To the own ``vectors`` (n, D) of users (n,) what their having taken says, in place.

    Of a user without ratings the own vector and the ``bias`` (n,) become what is usual; of one without rows all of it.
    """
    met = rated(log, user)
    silent = met & ~np.append(tellers(log), True)[user]  # took something and rated nothing
    if silent.any():
        vectors[silent], bias[silent] = usual(log, weights["users"]), usual(log, weights["user bias"])
    asked, place = np.unique(user[met], return_inverse=True)
    vectors[met] += (table(log)[asked] @ weights["implied"])[place]
    if not met.all():
        vectors[~met] = usual(log, weights["users"]) + usual_taken(log) @ weights["implied"]
        bias[~met] = usual(log, weights["user bias"])


def ranked(log: Interactions, weights: Weights, item_bias: F32, histories: I64) -> F32:
    """(B, T) -> (B, I): what is said of somebody of whom is known what he took, and nothing else; ``item_bias`` (I,)."""
    taken = matrix(known(histories, len(log.items)), len(log.items))
    length = np.sqrt(np.maximum(np.diff(taken.indptr), 1)).astype(np.float32)
    out: F32 = ((taken @ weights["implied"]) / length[:, None]).astype(np.float32) @ weights["items"].T
    out += ranked_bias(log, item_bias) + TIE_BREAK * popularity(log)
    return out
