"""What learners share that move a policy by its gradient: the chance of picks as a tensor.

The chance is ``slate``'s formula and its own derivative, exploration and the slots before included: what is differentiated is
what is drawn and logged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from longgame.algorithms.critic import AnyNetworkConfig
from longgame.errors import ConfigError
from longgame.slate import Exploration, slot_log_prob_gradient, slot_log_probs
from longgame.types import F64, I64, Bool

_NEVER = -100.0
"""What stands for the logarithm of a chance of 0: a ratio of it is 0, and no product of it is undefined."""


class _LogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, allowed: Bool, action: I64, explore: Exploration) -> Tensor:
        held = scores.detach().numpy()
        ctx.drawn = held, allowed, action, explore
        return torch.from_numpy(np.maximum(slot_log_probs(held, allowed, action, explore), _NEVER))

    @staticmethod
    def backward(ctx: Any, *weight: Tensor) -> tuple[Tensor, None, None, None]:
        scores, allowed, action, explore = ctx.drawn
        gradient = slot_log_prob_gradient(scores, allowed, action, explore, weight[0].numpy())
        return torch.from_numpy(gradient.astype(np.float32)), None, None, None


def log_probs(scores: Tensor, allowed: Bool, action: I64, explore: Exploration) -> Tensor:
    """(B, C), (B, K, C), (B, K) -> (B, K) log P(pick | picks before), 0 in an empty slot, that leads back to the scores."""
    out: Tensor = _LogProbs.apply(scores, allowed, action, explore)  # type: ignore[no-untyped-call]  # torch's has no types
    return out


def list_log_probs(logp: Tensor, lists: Tensor) -> Tensor:
    """(n, C) log-chances of a first pick, (n, G, K) columns of G lists each -> (n, G, K) log P(pick | picks before).

    As :func:`log_probs` without exploration, where many lists share their state: what is left over after the picks before is
    one less their chances, and not a sum over C for each slot of each list. Where less than 1e-6 is left, 1e-6 is taken.
    """
    own = torch.gather(logp[:, None].expand(-1, lists.shape[1], -1), 2, lists)
    before = own.exp().cumsum(dim=2) - own.exp()
    return own - torch.log1p(-before.clamp(max=1 - 1e-6))


def refuse_dropout(where: str, network: AnyNetworkConfig) -> None:
    """Raises ConfigError where a network drops: slates are drawn without, and a ratio is of the chance of that draw."""
    if network.dropout:
        raise ConfigError(
            f"{where}.network: dropout must be 0, got {network.dropout}: slates are drawn without it, so a pick's ratio would "
            "be off by what is dropped; Pace.decay regularises without"
        )


def entropy(scores: Tensor, mask: Tensor) -> Tensor:
    """(B, C), (B, C) -> () the mean entropy of a first pick at temperature 1, in nats: what a bonus keeps from closing."""
    logp = functional.log_softmax(scores.masked_fill(~mask, -1e9), dim=1)
    return -(logp.exp() * logp).masked_fill(~mask, 0.0).sum(dim=1).mean()


def mean_of_filled(values: Tensor, filled: Tensor) -> Tensor:
    """(B, K), (B, K) -> () the mean over slots that were filled; 0 where none was."""
    return torch.where(filled, values, 0.0).sum() / filled.sum().clamp(min=1)


def standardised(values: F64) -> F64:
    """(B,) -> (B,) with mean 0 and deviation 1; all 0 where they are alike."""
    apart: F64 = values - values.mean() if len(values) else values
    spread = float(apart.std()) if len(values) else 0.0
    return apart / spread if spread > 1e-8 * max(1.0, float(np.abs(values).max(initial=0.0))) else np.zeros(len(values))
