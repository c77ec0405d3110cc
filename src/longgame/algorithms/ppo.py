"""Proximal policy optimisation: actor-critic that may go over what it lived through several times.

Schulman et al., "Proximal Policy Optimization Algorithms", 2017, eq. 7: with the ratio of what a pick's chance is now to what
it was when it was drawn,

    L = mean of min(ratio * A, clip(ratio, 1 / (1 + e), 1 + e) * A)

so that a pick that was made likelier by more than e has nothing to gain from being made likelier still. The ratio is exact: the
chance of each pick is logged (``slate``). *Deviation*: theirs has 1 - e below, which is about the same for a small e, but
no bound at all for an e of 1 or more, with which a log may be learned from.

The rest is as in ``a2c``, with its deviations: n-step advantages of a critic of its own (not GAE, which needs trajectories),
standardised over the batch; each slot of a slate has its own ratio, given the slots before it, and answers for the whole
slate. The advantages are told anew at every pass, by a critic that learns in between.

On the log of another policy the clip is taken against that policy, so that what is learned can still be proven on that log. It
takes away the incentive to go further, pick by pick, and is no bound: other picks, and the entropy, can move a pick on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longgame.algorithms.actor import mean_of_filled
from longgame.algorithms.actor_critic import ActorCritic, ActorCriticConfig
from longgame.artefacts import Arrays
from longgame.errors import ConfigError


@dataclass(frozen=True)
class PpoConfig(ActorCriticConfig):
    """How the actor and its critic learn."""

    clip: float = 0.2
    """e, above 0: a pick is rewarded for ratios up to 1 + e, and down to 1 / (1 + e). Infinite: nothing is clipped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.clip > 0:
            raise ConfigError(f"PpoConfig: clip must be above 0, got {self}")


def clipped_loss(logp: Tensor, logged: Tensor, advantage: Tensor, filled: Tensor, clip: float) -> Tensor:
    """Minus eq. 7: (B, K) log-chances of the picks now and when they were drawn, (B, K) or (B, 1), (B, K) -> ().

    A log-ratio beyond 20 counts as 20: no batch makes it infinite.
    """
    ratio = (logp - logged).clamp(max=20.0).exp()
    near = ratio.clamp(1 / (1 + clip), 1 + clip)
    return -mean_of_filled(torch.minimum(ratio * advantage, near * advantage), filled)


class Ppo(ActorCritic):
    """The learner."""

    name = "ppo"

    def __init__(self, config: PpoConfig, start: Arrays | None = None) -> None:
        super().__init__(config, start)
        self.config = config

    def _loss(self, logp: Tensor, logged: Tensor, advantage: Tensor, filled: Tensor) -> tuple[Tensor, Mapping[str, float]]:
        moved = ((logp.detach() - logged).abs() > np.log1p(self.config.clip)).double()
        loss = clipped_loss(logp, logged, advantage[:, None], filled, self.config.clip)
        return loss, {"clipped": float(mean_of_filled(moved, filled))}
