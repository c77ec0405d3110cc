"""Advantage actor-critic: the policy moves towards what did better than its state foretold.

Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", ICML 2016, section 4, synchronous (one learner for all
users that are lived with at once): with the n-step advantage

    A = r_t + gamma r_{t+1} + ... + gamma^n V(s_{t+n}) - V(s_t)

the gradient is that of log pi(a|s) A + entropy * H(pi(s)), and V moves towards what A is taken from. The policy is the softmax
over log-preferences that ``slate`` draws from, at its temperature and with its uniform share.

It learns on-policy: ``simulation.train`` lets it live with its newest policy, and hands it what came of that in
``Training.passes`` passes. The paper's is one; the default, and that of ``longgame simulate``, is 4, because one pass over few
decisions learned nothing: from the second on the policy has moved, and picks weigh by their ratio. On the log of another policy
each pick weighs by how much likelier this one makes it than that one did, up to ``cap`` (IMPALA's truncated weight, Espeholt et
al., ICML 2018, section 4.1, per slot), and V is what states were worth under whoever decided: one step of improvement on the
policy of the log.

Deviations, each because it moves the score:

- *Slates*: a slate is drawn slot by slot, and every slot answers for the whole slate's reward and what comes after: without
  bias, whatever the items of a slate do to each other, and with K times the noise of a slot's own reward.
- *Two networks* instead of two heads on one: what the critic learns does not bend what the policy reads.
- Advantages are n-step and not generalised (GAE): a batch has rows and no trajectories, the same from a world and from a log
  that others wrote; n is the batch's (``Training.ahead``), and a log has n = 1.
- Advantages are standardised over the batch; V(s_{t+n}) is the slowly following copy's.
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
class A2cConfig:
    """How the actor and its critic learn."""

    network: AnyNetworkConfig
    """Of the actor; the critic has one of the same size. Without dropout."""
    pace: Pace = field(default_factory=Pace)
    """Of the actor; ``follow`` moves nothing: what is handed out is the newest."""
    critic: Pace = field(default_factory=lambda: Pace(follow=0.05))
    cap: float = 1.0
    """Largest importance ratio of a slot, above 0. What was drawn by the newest policy has ratios of 1."""
    entropy: float = 1e-2
    """Weight of the entropy bonus over the candidates, 0 or more."""
    scale: float = 1.0
    """A unit of the critic's values in units of the reward, above 0: about as large as a return."""
    explore: Exploration = field(default_factory=Exploration)
    """What the policy lives and is served with; what moves is the chance under it."""
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_dropout("A2cConfig", self.network)
        if not self.cap > 0 or not self.scale > 0 or self.entropy < 0:
            raise ConfigError(f"A2cConfig: cap and scale must be above 0 and entropy not below 0, got {self}")


def actor_loss(logp: Tensor, logged: Tensor, advantage: Tensor, filled: Tensor, cap: float) -> Tensor:
    """Minus the advantage that is gained: (B, K) log-chances of the picks now and as logged, (B,), (B, K) -> ().

    Its gradient is that of ``min(ratio, cap) * advantage * log pi``, the ratio being a number and no function.
    """
    ratio = (logp.detach() - logged).exp().clamp(max=cap)
    return -mean_of_filled(ratio * advantage[:, None] * logp, filled)


class A2c:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network: both begin there."""

    def __init__(self, config: A2cConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._actor = Learned(config.network, config.pace, config.seed, start)
        self._critic = StateCritic(config.network, config.critic, config.scale, config.seed + 1, start)

    @property
    def lives_by(self) -> Exploration:
        """It learns from what its newest policy did, drawn so."""
        return self.config.explore

    @property
    def policy(self) -> NetworkPolicy:
        return NetworkPolicy(self.config.network, to_arrays(self._actor.network), "a2c")

    def update(self, batch: Batch) -> Mapping[str, float]:
        config, network = self.config, self._actor.network
        advantage, value_loss = self._critic.learn(batch)
        filled, logged = torch.from_numpy(batch.action >= 0), torch.from_numpy(np.log(batch.propensity))
        with self._actor.learning():
            scores = network.score(network.user(batch.state), tensor_items(batch.items))
        logp = log_probs(scores, batch.allowed, batch.action, config.explore)
        loss = actor_loss(logp, logged, torch.from_numpy(advantage), filled, config.cap)
        spread = entropy(scores, tensor(batch.mask))
        self._actor.step(loss - config.entropy * spread, limit=1.0)
        reward = np.where(batch.action >= 0, batch.reward, 0.0).sum(axis=1)
        return {
            "reward": float(reward.mean()),
            "value_loss": value_loss,
            "ratio": float(mean_of_filled((logp.detach() - logged).exp(), filled)),
            "entropy": float(spread.detach()),
        }

    def state_dict(self) -> Arrays:
        return {**self._actor.state_dict("actor."), **self._critic.state_dict()}

    def load_state_dict(self, state: Arrays) -> None:
        self._actor.load_state_dict(state, "actor.")
        self._critic.load_state_dict(state)
