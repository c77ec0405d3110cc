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
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from longgame.algorithms.actor import StateCritic, entropy, log_probs, mean_of_filled, refuse_dropout
from longgame.algorithms.critic import AnyNetworkConfig, Learned, Pace
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.arrays import Batch
from longgame.artefacts import Arrays
from longgame.errors import ConfigError
from longgame.networks import tensor, tensor_items, to_arrays
from longgame.slate import Exploration


@dataclass(frozen=True)
class PpoConfig:
    """How the actor and its critic learn."""

    network: AnyNetworkConfig
    """Of the actor; the critic has one of the same size. Without dropout."""
    pace: Pace = field(default_factory=Pace)
    """Of the actor; ``follow`` moves nothing: what is handed out is the newest."""
    critic: Pace = field(default_factory=lambda: Pace(follow=0.05))
    clip: float = 0.2
    """e, above 0: a pick is rewarded for ratios up to 1 + e, and down to 1 / (1 + e). Infinite: nothing is clipped."""
    entropy: float = 1e-2
    """Weight of the entropy bonus over the candidates, 0 or more."""
    scale: float = 1.0
    """A unit of the critic's values in units of the reward, above 0: about as large as a return."""
    explore: Exploration = field(default_factory=Exploration)
    """What the policy lives and is served with; the ratio is of the chance under it."""
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_dropout("PpoConfig", self.network)
        if not self.clip > 0 or not self.scale > 0 or self.entropy < 0:
            raise ConfigError(f"PpoConfig: clip and scale must be above 0 and entropy not below 0, got {self}")


def clipped_loss(logp: Tensor, logged: Tensor, advantage: Tensor, filled: Tensor, clip: float) -> Tensor:
    """Minus eq. 7: (B, K) log-chances of the picks now and when they were drawn, (B, K) or (B, 1), (B, K) -> ().

    A log-ratio beyond 20 counts as 20: no batch makes it infinite.
    """
    ratio = (logp - logged).clamp(max=20.0).exp()
    near = ratio.clamp(1 / (1 + clip), 1 + clip)
    return -mean_of_filled(torch.minimum(ratio * advantage, near * advantage), filled)


class Ppo:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network: both begin there."""

    def __init__(self, config: PpoConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._actor = Learned(config.network, config.pace, config.seed, start)
        self._critic = StateCritic(config.network, config.critic, config.scale, config.seed + 1, start)

    @property
    def lives_by(self) -> Exploration:
        """It learns from what its newest policy did, drawn so."""
        return self.config.explore

    @property
    def policy(self) -> NetworkPolicy:
        return NetworkPolicy(self.config.network, to_arrays(self._actor.network), "ppo")

    def update(self, batch: Batch) -> Mapping[str, float]:
        config, network = self.config, self._actor.network
        advantage, value_loss = self._critic.learn(batch)
        filled, logged = torch.from_numpy(batch.action >= 0), torch.from_numpy(np.log(batch.propensity))
        with self._actor.learning():
            scores = network.score(network.user(batch.state), tensor_items(batch.items))
        logp = log_probs(scores, batch.allowed, batch.action, config.explore)
        loss = clipped_loss(logp, logged, torch.from_numpy(advantage)[:, None], filled, config.clip)
        spread = entropy(scores, tensor(batch.mask))
        self._actor.step(loss - config.entropy * spread, limit=1.0)
        moved = (logp.detach() - logged).abs()
        reward = np.where(batch.action >= 0, batch.reward, 0.0).sum(axis=1)
        return {
            "reward": float(reward.mean()),
            "value_loss": value_loss,
            "clipped": float(mean_of_filled((moved > np.log1p(config.clip)).double(), filled)),
            "entropy": float(spread.detach()),
        }

    def state_dict(self) -> Arrays:
        return {**self._actor.state_dict("actor."), **self._critic.state_dict()}

    def load_state_dict(self, state: Arrays) -> None:
        self._actor.load_state_dict(state, "actor.")
        self._critic.load_state_dict(state)
