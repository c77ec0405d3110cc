"""What the best of what comes next is worth: arrays in, arrays out, for algorithms that learn values without a choice model."""

from __future__ import annotations

import numpy as np

from longgame.types import F32, F64, I64, Bool


def best_slates(worth: F32 | F64, mask: Bool, slots: I64, judged: F32 | F64 | None = None) -> F64:
    """(..., C) values, (..., C), (...,) slots -> (...,) the sum over the best items, as many as ``slots`` and as are offered.

    With ``judged`` (..., C) the items are chosen by ``worth`` and summed by that (van Hasselt et al., AAAI 2016).
    """
    open_ = np.where(mask, worth, -np.inf)
    take = max(1, min(int(slots.max(initial=1)), open_.shape[-1]))
    best = np.argpartition(-open_, take - 1, axis=-1)[..., :take]
    order = np.argsort(-np.take_along_axis(open_, best, axis=-1), axis=-1, kind="stable")
    best = np.take_along_axis(best, order, axis=-1)
    told = np.take_along_axis(worth if judged is None else judged, best, axis=-1)
    offered = np.isfinite(np.take_along_axis(open_, best, axis=-1))
    out: F64 = np.where(offered & (np.arange(take) < slots[..., None]), told, 0.0).sum(axis=-1)
    return out
