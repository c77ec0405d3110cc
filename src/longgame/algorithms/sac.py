"""Soft actor-critic over items: a policy that is as undecided as it can afford to be, and two critics that judge it.

Haarnoja et al., "Soft Actor-Critic", ICML 2018, and "Soft Actor-Critic Algorithms and Applications", 2018 (the temperature is
tuned), for discrete actions Christodoulou, "Soft Actor-Critic for Discrete Action Settings", 2019, eq. 10 to 12. With pi the
softmax over log-preferences, alpha the price of a nat and Q the smaller of two critics,

    V(s)    = sum over a of pi(a|s) (Q(s, a) - alpha log pi(a|s))
    Q(s, a) <- r + gamma V(s')                          both critics, by copies that follow slowly
    pi      towards the least of the mean of sum over a of pi(a|s) (alpha log pi(a|s) - Q(s, a))
    alpha   up where the entropy of pi is below its goal, down where it is above

Nothing is sampled in the update: every candidate is weighed, so it learns from what anybody did, from a replay or a log.

Deviations, each because it moves the score:

- *The goal of the entropy* is a share of that of a uniform draw from what is offered, row by row: .98 of it, as Christodoulou
  has it, would be a random policy among two hundred candidates, and the number of candidates varies.
- *Slates*: worth the sum of their items, as in ``dqn`` (each slot its reward and a share of what comes after, or *together*);
  V(s') is of a slate as long as this one: with the chance that each item is in it under ``slate``'s draw its value, and the
  entropies of its slots' draws, added up (``dqn.expected_draws``, a mean field: for many slots among few items the entropy
  is told somewhat too high). For one slot that is V above. The actor's loss is of the first pick.
- Q is dueling (Wang et al. 2016), as in ``dqn``.
- alpha moves by plain steps on its logarithm (not Adam's), and stays within 1e-4 and 10 units of ``scale``.
- The actor can wait while critics that know nothing learn: it begins at the supervised network, they do not.
- n-step returns where the batch has them, uncorrected for who decided, and without the entropies of the decisions between:
  what being undecided is worth is told of the state after n steps alone. With n = 1, a log's, that is V above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, log

import numpy as np
import torch
from torch import Tensor

from longgame.algorithms.critic import AnyNetworkConfig, Learned, Pace, number
from longgame.algorithms.dqn import Offered, expected_draws, values, values_of
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.algorithms.slots import slot_loss, slot_targets
from longgame.arrays import Batch
from longgame.artefacts import Arrays
from longgame.errors import ConfigError
from longgame.networks import to_arrays
from longgame.slate import Exploration
from longgame.types import F64

_PRICES = (1e-4, 10.0)
"""The least and the most that a nat may cost."""
_DRAWN = Exploration(1.0, 0.0)


@dataclass(frozen=True)
class SacConfig:
    """How the actor, its critics and the price of entropy learn."""

    network: AnyNetworkConfig
    """Of the actor; the critics have two of the same size."""
    pace: Pace = field(default_factory=lambda: Pace(follow=0.02))
    """Of the critics."""
    actor: Pace = field(default_factory=Pace)
    undecided: float = 0.3
    """The goal of the entropy: its share of that of a uniform draw from what is offered, in [0, 1]."""
    price: float = 0.1
    """alpha at first, in units of ``scale``, between 1e-4 and 10."""
    price_rate: float = 1e-2
    """How fast the logarithm of alpha moves, per nat and update, 0 or more. 0: the price stays."""
    together: bool = False
    """Whether the items of a slate learn from one error, that of their sum, instead of each from its own."""
    wait: int = 0
    """Updates of the critics before the actor's first, 0 or more."""
    scale: float = 1.0
    """A unit of the critics' values in units of the reward, above 0: about as large as a return."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not _PRICES[0] <= self.price <= _PRICES[1] or self.price_rate < 0 or not self.scale > 0:
            raise ConfigError(f"SacConfig: price must lie in {_PRICES}, price_rate not below 0 and scale above 0, got {self}")
        if not 0 <= self.undecided <= 1 or self.wait < 0:
            raise ConfigError(f"SacConfig: undecided must lie in [0, 1] and wait not be below 0, got {self}")


def soft_value(q: F64, shown: F64, spread: F64, price: float) -> F64:
    """(B, C) values and chances to be in the slate, (B,) entropies of its draw -> (B,) its worth, a nat at ``price``."""
    out: F64 = (shown * q).sum(axis=1) + price * spread
    return out


def soft_loss(logp: Tensor, q: Tensor, mask: Tensor, price: float) -> tuple[Tensor, Tensor]:
    """(B, C), (B, C), (B, C) -> (), (B,) Christodoulou's eq. 12, a mean over rows that have candidates, and the entropies."""
    p = logp.exp() * mask
    some = mask.any(dim=1)
    loss = torch.where(mask, p * (price * logp - q), 0.0).sum(dim=1)
    spread = -torch.where(mask, p * logp, 0.0).sum(dim=1).detach()
    return torch.where(some, loss, 0.0).sum() / some.sum().clamp(min=1), spread


class Sac:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network: the actor begins there."""

    def __init__(self, config: SacConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._actor = Learned(config.network, config.actor, config.seed, start)
        self._critics = tuple(Learned(config.network, config.pace, config.seed + 1 + n) for n in range(2))
        self._log_price = log(config.price)

    @property
    def policy(self) -> NetworkPolicy:
        return NetworkPolicy(self.config.network, to_arrays(self._actor.network), "sac")

    def update(self, batch: Batch) -> Mapping[str, float]:
        config, offered = self.config, Offered(batch.items, batch.mask)
        target = torch.from_numpy((self._targets(batch) / config.scale).astype(np.float32))
        action = torch.from_numpy(batch.action)
        losses = []
        for critic in self._critics:
            with critic.learning():
                told = values_of(critic.network, critic.network.user(batch.state), offered, action, True)
            loss, _ = slot_loss(told, target, action >= 0, config.together)
            losses.append(critic.step(loss))
        told_of = {"value_loss": losses[0], "price": exp(self._log_price)}
        if self._critics[0].updates > config.wait:
            told_of["entropy"] = self._move(batch, offered)
        return told_of

    def _move(self, batch: Batch, offered: Offered) -> float:
        """A step of the actor and one of the price. The share that its entropy has of a uniform draw's."""
        network, mask = self._actor.network, offered.every
        with torch.no_grad():
            told = [
                values(critic.network, critic.network.user(batch.state), offered.items, mask, True) for critic in self._critics
            ]
        with self._actor.learning():
            logp = _log_chances(network.score(network.user(batch.state), offered.items), mask)
        loss, spread = soft_loss(logp, torch.minimum(*told), mask, exp(self._log_price))
        self._actor.step(loss)
        most = np.log(np.maximum(batch.mask.sum(axis=1), 1))
        open_ = most > 0  # with one candidate there is nothing to be undecided about
        if not open_.any():
            return 0.0
        over = float((spread.double().numpy() - self.config.undecided * most)[open_].mean())
        lowest, highest = _PRICES
        self._log_price = min(max(self._log_price - self.config.price_rate * over, log(lowest)), log(highest))
        return float((spread.double().numpy()[open_] / most[open_]).mean())

    @torch.no_grad()
    def _targets(self, batch: Batch) -> F64:
        """(B, K) reward of each slot and its share of what comes after; 0 in an empty slot."""
        offered, mask = Offered(batch.next_items, batch.next_mask), batch.next_mask
        actor, slots = self._actor.network, (batch.action >= 0).sum(axis=1)
        scores = actor.score(actor.user(batch.next_state), offered.items)
        told = [
            values(critic.target, critic.target.user(batch.next_state), offered.items, offered.every, True)
            for critic in self._critics
        ]
        shown, spread = expected_draws(scores.double().numpy(), mask, slots, _DRAWN)
        worth = soft_value(torch.minimum(*told).double().numpy(), shown, spread, exp(self._log_price))
        return slot_targets(batch, worth * self.config.scale)

    def state_dict(self) -> Arrays:
        price = {"log_price": np.array([self._log_price])}
        critics = [critic.state_dict(f"critic{n}.") for n, critic in enumerate(self._critics)]
        return {**self._actor.state_dict("actor."), **critics[0], **critics[1], **price}

    def load_state_dict(self, state: Arrays) -> None:
        self._actor.load_state_dict(state, "actor.")
        for n, critic in enumerate(self._critics):
            critic.load_state_dict(state, f"critic{n}.")
        self._log_price = number(state, "log_price")


def _log_chances(scores: Tensor, mask: Tensor) -> Tensor:
    """(B, C), (B, C) -> (B, C) log-chances of a first pick; far below 0, and finite, where masked."""
    return scores.masked_fill(~mask, -1e9).log_softmax(dim=1)
