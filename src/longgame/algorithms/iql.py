"""Implicit Q-learning: the best of what the log shows, and never a guess about what it does not.

Kostrikov, Nair & Levine: "Offline Reinforcement Learning with Implicit Q-Learning", ICLR 2022. No maximum over items is ever
taken: the value of a state is an upper expectile of the values of the items that were shown in it (their eq. 5),

    V(s) <- expectile of Q(s, a of the log),    Q(s, a) <- r + gamma V(s')                (their eq. 6)

and the policy imitates the log, the better an item was the more (advantage-weighted regression, their eq. 7):

    exp(beta (Q(s, a) - V(s))) grad log pi(a | s)

Discrete: pi is the softmax over the candidates, and the policy that is differentiated is the one that will be served,
exploration included (``slate``), slot given the slots before.

Deviations: Q and V are two heads of one network instead of two networks, and there is one Q instead of the smaller of two
(their ``min``; ensembles are an option of ``dqn``); Q and V are of one slot, a slate of K being worth K of them, so that each
slot learns its own reward and V(s') in full; the slow copy tells both targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from longgame.algorithms.critic import AnyNetworkConfig, Learned, Pace
from longgame.algorithms.dqn import Offered
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.algorithms.slots import slot_loss, slot_targets
from longgame.arrays import Batch
from longgame.artefacts import Arrays
from longgame.errors import ConfigError
from longgame.networks import tensor_items, to_arrays
from longgame.slate import Exploration, slot_log_prob_gradient
from longgame.types import F64


@dataclass(frozen=True)
class IqlConfig:
    """How implicit Q-learning learns."""

    network: AnyNetworkConfig
    pace: Pace = field(default_factory=Pace)
    """Of both networks."""
    expectile: float = 0.7
    """Of the shown items' values, in (0, 1): .5 is their mean (what the log did), towards 1 their best (what it could have)."""
    beta: float = 3.0
    """Weight of an advantage, in units of ``scale``, 0 or more: 0 imitates the log."""
    most: float = 100.0
    """Largest weight of a pick, above 0."""
    scale: float = 1.0
    """A unit of the network's values in units of the reward, above 0: about as large as a return."""
    explore: Exploration = field(default_factory=Exploration)
    """The exploration the policy will be served with."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.expectile < 1 or self.beta < 0 or min(self.most, self.scale) <= 0:
            raise ConfigError(
                f"IqlConfig: expectile must lie in (0, 1), beta not be below 0, most and scale be above 0, got {self}"
            )


def expectile_loss(error: Tensor, expectile: float, filled: Tensor) -> Tensor:
    """Their eq. 4 and 5: |expectile - 1(u < 0)| u^2 of u = Q - V, (B, K), a mean over the slots that were filled."""
    weight = torch.where(error < 0, 1.0 - expectile, expectile)
    return (weight * error**2 * filled).sum() / filled.sum().clamp(min=1)


class Iql:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network: the policy begins there."""

    def __init__(self, config: IqlConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._values = Learned(config.network, config.pace, config.seed)
        self._policy = Learned(config.network, config.pace, config.seed + 1, start)

    @property
    def policy(self) -> NetworkPolicy:
        return NetworkPolicy(self.config.network, to_arrays(self._policy.target), "iql")

    def update(self, batch: Batch) -> Mapping[str, float]:
        config, network, slow = self.config, self._values.network, self._values.target
        action, filled = torch.from_numpy(batch.action), torch.from_numpy(batch.action >= 0)
        shown = Offered(batch.items, batch.mask).take(action)
        with torch.no_grad():
            user = slow.user(batch.state)
            worth, expected = slow.score(user, shown), slow.value(user)
            after = slow.value(slow.user(batch.next_state)).double().numpy() * config.scale
            slots = (batch.action >= 0).sum(axis=1)  # V is of one slot, and the next slate as long as this one
            target = torch.from_numpy((slot_targets(batch, slots * after) / config.scale).astype(np.float32))
        with self._values.learning():
            user = network.user(batch.state)
            told, value = network.score(user, shown), network.value(user)
        held = expectile_loss(worth - value[:, None], config.expectile, filled)
        fit, errors = slot_loss(told, target, filled, together=False)
        self.errors: F64 = errors.double().numpy()  # (B,), for a replay by priority
        self._values.step(fit + held)
        weight = self._imitate(batch, (worth - expected[:, None]).double().numpy())
        return {
            "value_loss": float(fit.detach()),
            "expectile_loss": float(held.detach()),
            "value": float(value.detach().mean()) * config.scale,
            "weight": weight,
        }

    def _imitate(self, batch: Batch, advantage: F64) -> float:
        """One step of the policy up eq. 7; the mean weight of a pick."""
        config, network, filled = self.config, self._policy.network, batch.action >= 0
        weight = np.where(filled, np.exp(np.minimum(config.beta * advantage, np.log(config.most))), 0.0)
        count = max(int(filled.sum()), 1)
        with self._policy.learning():
            scores = network.score(network.user(batch.state), tensor_items(batch.items))
        held = scores.detach().numpy()
        gradient = slot_log_prob_gradient(held, batch.allowed, batch.action, config.explore, weight) / count
        # The formula's own gradient goes in at the scores: the sum's is exactly that.
        self._policy.step((scores * torch.from_numpy(-gradient.astype(np.float32))).sum())
        return float(weight.sum()) / count

    def state_dict(self) -> Arrays:
        return {**self._values.state_dict("values."), **self._policy.state_dict("policy.")}

    def load_state_dict(self, state: Arrays) -> None:
        self._values.load_state_dict(state, "values.")
        self._policy.load_state_dict(state, "policy.")
