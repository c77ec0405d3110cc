"""What networks over the items with events share in training: the loss over them all, the step, the mean of the weights."""

from __future__ import annotations

from copy import deepcopy
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from longgame.models import softmax
from longgame.precision import number
from longgame.types import F64, I64

N = TypeVar("N", bound=nn.Module)


class Descent(Generic[N]):
    """A network under training by AdamW with a clipped gradient, and the running mean of its weights.

    The mean (Polyak and Juditsky, SIAM J. Control Optim. 1992, here one that fades) ranks better than the last weights, which
    still jump from batch to batch.
    """

    def __init__(self, network: N, learning_rate: float, weight_decay: float, average: float) -> None:
        """``average`` in [0, 1): the share of the mean that a step keeps, less in the first steps; 0: the last weights."""
        self.network, self.mean = network, deepcopy(network).eval()
        self._average, self._steps = average, 0
        # foreach=False: one order of additions, so that the same seed is the same model to the last bit
        self._optimizer = torch.optim.AdamW(
            network.parameters(), lr=learning_rate, weight_decay=weight_decay, foreach=False, fused=False
        )

    def move(self) -> None:
        """One step along the gradient that was added up, which is then forgotten."""
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0, foreach=False)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._steps += 1
        kept = min(self._average, self._steps / (self._steps + 10))  # what it started from is soon forgotten
        with torch.no_grad():
            for mean, last in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(last, 1 - kept)


def next_item(
    wanted: Tensor,
    items: Tensor,
    bias: Tensor,
    target: I64,
    share: F64,
    drawn: int,
    rng: np.random.Generator,
    weight: float = 1.0,
) -> float:
    """``softmax.backward`` over about ``drawn`` of the A items and the targets (``softmax.draw``), or over all where it is 0.

    (n, D) against (A, D) and (A,) at (n,) rows; ``share`` (A,) of the events. The gradient is ``weight`` times the mean loss's.
    """
    if not drawn:
        return softmax.backward(wanted, items, bias, torch.from_numpy(target), weight, dtype=number("auto"))
    some = softmax.draw(target, share, drawn, rng)
    column, chance = torch.from_numpy(some.column), torch.from_numpy(some.log_chance.astype(np.float32))
    own = torch.from_numpy(some.target)
    return softmax.backward(wanted, items[column], bias[column], own, weight, chance, number("auto"))
