"""An actor beside a critic of states, as A2C and PPO share it: what a pick's chance is moved by is theirs.

The critic tells how much better a slate did than its state foretold: its reward, those of the decisions after it that the batch
tells of (``Batch.between``), and what the state after them is worth, less what the state was worth to begin with.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from longgame.algorithms.actor import entropy, log_probs, refuse_dropout, standardised
from longgame.algorithms.critic import AnyNetworkConfig, Learned, Pace, slate_return
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.arrays import Batch
from longgame.artefacts import Arrays
from longgame.errors import ConfigError
from longgame.networks import tensor, tensor_items, to_arrays
from longgame.slate import Exploration
from longgame.types import F64


@dataclass(frozen=True)
class ActorCriticConfig:
    """How an actor and its critic learn."""

    network: AnyNetworkConfig
    """Of the actor; the critic has one of the same size. Without dropout."""
    pace: Pace = field(default_factory=Pace)
    """Of the actor; ``follow`` moves nothing: what is handed out is the newest."""
    critic: Pace = field(default_factory=lambda: Pace(follow=0.05))
    entropy: float = 1e-2
    """Weight of the entropy bonus over the candidates, 0 or more."""
    scale: float = 1.0
    """A unit of the critic's values in units of the reward, above 0: about as large as a return."""
    explore: Exploration = field(default_factory=Exploration)
    """What the policy lives and is served with; what moves is the chance under it."""
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_dropout(type(self).__name__, self.network)
        if not self.scale > 0 or self.entropy < 0:
            raise ConfigError(f"{type(self).__name__}: scale must be above 0 and entropy not below 0, got {self}")


class ActorCritic(ABC):
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network: both begin there."""

    name: ClassVar[str]

    def __init__(self, config: ActorCriticConfig, start: Arrays | None = None) -> None:
        self._shared = config
        self._actor = Learned(config.network, config.pace, config.seed, start)
        self._critic = StateCritic(config.network, config.critic, config.scale, config.seed + 1, start)

    @abstractmethod
    def _loss(self, logp: Tensor, logged: Tensor, advantage: Tensor, filled: Tensor) -> tuple[Tensor, Mapping[str, float]]:
        """(B, K) log-chances of the picks now and as logged, (B,), (B, K) -> what is to fall, and what is told of it."""

    @property
    def lives_by(self) -> Exploration:
        """It learns from what its newest policy did, drawn so."""
        return self._shared.explore

    @property
    def policy(self) -> NetworkPolicy:
        return NetworkPolicy(self._shared.network, to_arrays(self._actor.network), self.name)

    def update(self, batch: Batch) -> Mapping[str, float]:
        config, network = self._shared, self._actor.network
        advantage, value_loss = self._critic.learn(batch)
        filled, logged = torch.from_numpy(batch.action >= 0), torch.from_numpy(np.log(batch.propensity))
        with self._actor.learning():
            scores = network.score(network.user(batch.state), tensor_items(batch.items))
        logp = log_probs(scores, batch.allowed, batch.action, config.explore)
        loss, told = self._loss(logp, logged, torch.from_numpy(advantage), filled)
        spread = entropy(scores, tensor(batch.mask))
        self._actor.step(loss - config.entropy * spread, limit=1.0)
        reward = float(np.where(batch.action >= 0, batch.reward, 0.0).sum(axis=1).mean())
        return {"reward": reward, "value_loss": value_loss, **told, "entropy": float(spread.detach())}

    def state_dict(self) -> Arrays:
        return {**self._actor.state_dict("actor."), **self._critic.state_dict()}

    def load_state_dict(self, state: Arrays) -> None:
        self._actor.load_state_dict(state, "actor.")
        self._critic.load_state_dict(state)


class StateCritic:
    """What states are worth under whoever decided, in units of ``scale``."""

    def __init__(self, config: AnyNetworkConfig, pace: Pace, scale: float, seed: int, start: Arrays | None) -> None:
        self._learned, self._scale = Learned(config, pace, seed, start), scale

    def learn(self, batch: Batch) -> tuple[F64, float]:
        """One step. (B,) how much better each slate did than was foretold before it, standardised; and the loss.

        The n-step advantage: reward + between + discount V(next) - V(state), V(next) by the copy that follows slowly.
        """
        network, slow, scale = self._learned.network, self._learned.target, self._scale
        with torch.no_grad():
            after = slow.value(slow.user(batch.next_state)).double().numpy()
        did = slate_return(batch, after * scale) / scale
        with self._learned.learning():
            told = network.value(network.user(batch.state))
        loss = self._learned.step(functional.smooth_l1_loss(told, torch.from_numpy(did.astype(np.float32))))
        return standardised(did - told.detach().double().numpy()), loss

    def state_dict(self) -> Arrays:
        return self._learned.state_dict("critic.")

    def load_state_dict(self, state: Arrays) -> None:
        self._learned.load_state_dict(state, "critic.")
