"""A slate's slots learn values: what each is to learn, and how far what is told is from it.

A slate of K is worth the sum of its items (Sunehag et al., "Value-Decomposition Networks", AAMAS 2018), so each slot learns its
own reward and an equal share of what comes after; or, *together*, their sum learns from one error and each item is credited
with all that it does.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional

from longgame.arrays import Batch
from longgame.types import F64


def slot_targets(batch: Batch, after: F64) -> F64:
    """(B,) worth of the decision that is looked at -> (B, K) reward of each slot and its share of what comes after it.

    0 in an empty slot; the share is of the slots that were filled.
    """
    filled = batch.action >= 0
    ahead = (batch.between + batch.discount * after) / np.maximum(filled.sum(axis=1), 1)
    return np.where(filled, batch.reward + ahead[:, None], 0.0)


def slot_loss(told: Tensor, target: Tensor, filled: Tensor, together: bool) -> tuple[Tensor, Tensor]:
    """(B, K) values, what they should be and where slots were filled -> (), (B,) the mean loss, and the largest errors.

    The loss of an error is half its square up to 1 and grows evenly from there (Huber's).
    """
    if together:  # one row of errors, as if the slate were one item
        told, target = (told * filled).sum(dim=1, keepdim=True), (target * filled).sum(dim=1, keepdim=True)
        filled = filled.any(dim=1, keepdim=True)
    loss = (functional.smooth_l1_loss(told, target, reduction="none") * filled).sum() / filled.sum().clamp(min=1)
    return loss, ((target - told).detach().abs() * filled).amax(dim=1)
