"""How likely a network makes what a log holds: the loss of those that learn what was done before what should be done."""

from __future__ import annotations

import torch
from torch import Tensor


def imitation_loss(scores: Tensor, allowed: Tensor, action: Tensor) -> Tensor:
    """(B, C) log-preferences, (B, K, C) what could be drawn, (B, K) what was, -1 in an empty slot -> a mean over slots.

    Minus the log-probability of each pick given the picks before it, at temperature 1: the softmax over what was allowed. A
    pick that is not allowed says nothing: rules have changed since it was logged, and it cannot be imitated.
    """
    picked = action.clamp(min=0)[:, :, None]
    filled = (action >= 0) & allowed.gather(2, picked)[:, :, 0]
    open_ = scores[:, None, :].masked_fill(~allowed, -torch.inf)
    open_ = torch.where(filled[:, :, None], open_, 0.0)  # such a slot may have had nothing to choose from
    told = -open_.log_softmax(dim=2).gather(2, picked)[:, :, 0]
    return torch.where(filled, told, 0.0).sum() / filled.sum().clamp(min=1)
