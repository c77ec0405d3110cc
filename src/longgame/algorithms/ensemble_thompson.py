"""Ensemble Thompson sampling: several heads that saw different halves of the log stand for what may be true.

Osband, Blundell, Pritzel & Van Roy: "Deep Exploration via Bootstrapped DQN", NeurIPS 2016. M heads on one network learn from
bootstrap samples; each follows its own target,

    Q_m(s, a) <- r + gamma max over a' of Q_m(s', a')

and one of them, drawn at random, acts. Here a head is a weight for each number of the user's vector and a number beside it
(score_m = score of u * w_m + b_m), the snapshot scores an item by the log of the share of heads that like it best, later places
counting a little, so that the probability of a draw is exact (``matching``), and *ahead* False makes it a bandit that looks at
the reward alone: ensemble sampling (Lu & Van Roy, 2017).

Deviations: a head is drawn for each pick and not for each session (a user's sessions do not end here, and a probability must be
logged); a slot is in half of the heads' samples (their p = .5), drawn anew when it is learned from again, for a batch does not
say which rows it had before; a slate of K is worth the sum of its items, as in ``dqn``. Heads on one network soon agree where
little was seen, so leave the sampler its even share (``Exploration.uniform``): without it they settle too early.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from longgame.algorithms.ahead import best_slates
from longgame.algorithms.critic import AnyNetwork, AnyNetworkConfig, Learned, Pace, network_config, network_from
from longgame.algorithms.dqn import Offered
from longgame.algorithms.matching import log_shares
from longgame.algorithms.slots import slot_targets
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest, shaped
from longgame.errors import ConfigError
from longgame.networks import load_optimizer, optimizer_arrays, tensor_items, to_arrays
from longgame.rng import derive
from longgame.types import F32, F64, Bool


@dataclass(frozen=True)
class EnsembleThompsonConfig:
    """How the heads learn, and how far they begin apart."""

    network: AnyNetworkConfig
    pace: Pace = field(default_factory=Pace)
    heads: int = 10
    """M, 1 or more."""
    spread: float = 0.5
    """Standard deviation of the heads before any data, 0 or more: how unsure it is of what it has not seen."""
    ahead: bool = True
    """Whether what comes next counts; False: a bandit."""
    scale: float = 1.0
    """A unit of the network's values in units of the reward, above 0: about as large as a return."""
    smoothing: float = 0.1
    """What a place in a head's order counts for each 1 of the place before, in (0, 1): of a slot's draws, about the share that
    the next best has (``matching``)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.heads, self.scale) <= 0 or self.spread < 0 or not 0 < self.smoothing < 1:
            raise ConfigError(
                "EnsembleThompsonConfig: heads and scale must be above 0, spread not below and smoothing lie in (0, 1), "
                f"got {self}"
            )


def bootstrap_loss(told: Tensor, target: Tensor, sampled: Tensor) -> Tensor:
    """(B, K, M) values, (B, K, M) targets, (B, K, M) in whose sample -> Huber's loss, a mean over all that is in a sample."""
    loss = functional.smooth_l1_loss(told, target, reduction="none") * sampled
    return loss.sum() / sampled.sum().clamp(min=1)


class EnsembleThompsonPolicy:
    """A frozen network and its heads."""

    def __init__(self, about: Mapping[str, Any], arrays: Arrays) -> None:
        """``about`` holds the ``network``'s config and the ``smoothing``."""
        self._about = dict(about)
        self._network = network_from(network_config(about["network"]), arrays, "network.")
        self._heads = torch.from_numpy(np.array(arrays["heads"], np.float32))
        self.version = f"ensemble-thompson-{digest(self.state_dict(), smoothing=about['smoothing'])}"

    def score(self, state: State, items: F32, mask: Bool) -> F32:
        with torch.inference_mode():
            user, offered = self._network.user(state), tensor_items(items)
            worth = _scores(self._network, user, offered, self._heads).numpy()  # (B, M, C)
        return log_shares(iter(worth), mask, self._about["smoothing"])

    def state_dict(self) -> Arrays:
        return {**to_arrays(self._network, "network."), "heads": self._heads.numpy().copy()}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "ensemble-thompson", **self._about}


class EnsembleThompson:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network."""

    def __init__(self, config: EnsembleThompsonConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._learned = Learned(config.network, config.pace, config.seed, start)
        pairs = getattr(config.network, "pairs", ())
        noise = derive(config.seed, "heads").standard_normal((2, config.heads, config.network.hidden + len(pairs)))
        alike = np.array([1.0, 0.0])[:, None, None]  # all heads say what the network says
        self._heads = torch.from_numpy((alike + config.spread * noise).astype(np.float32)).requires_grad_()
        self._slow = self._heads.detach().clone()
        # fused: as in critic.Learned, one order of additions
        self._optimizer = torch.optim.AdamW([self._heads], config.pace.rate, weight_decay=0.0, fused=True)

    @property
    def policy(self) -> EnsembleThompsonPolicy:
        about = {"network": asdict(self.config.network), "smoothing": self.config.smoothing}
        return EnsembleThompsonPolicy(about, {**to_arrays(self._learned.target, "network."), "heads": self._slow.numpy()})

    def update(self, batch: Batch) -> Mapping[str, float]:
        network = self._learned.network
        target = torch.from_numpy((self._targets(batch) / self.config.scale).astype(np.float32))
        sampled = torch.from_numpy(self._samples(batch.action >= 0))
        shown = Offered(batch.items, batch.mask).take(torch.from_numpy(batch.action))
        with self._learned.learning():
            told = _scores(network, network.user(batch.state), shown, self._heads).permute(0, 2, 1)
        self.errors: F64 = ((target - told).detach().abs() * sampled).mean(dim=2).amax(dim=1).double().numpy()
        self._optimizer.zero_grad()
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.pace.at(self._learned.updates)
        loss = self._learned.step(bootstrap_loss(told, target, sampled))  # its way back fills the heads' gradients too
        self._optimizer.step()
        with torch.no_grad():
            self._slow.lerp_(self._heads, self.config.pace.follow)
        apart = float(told.detach().std(dim=2, correction=0).mean()) * self.config.scale
        return {"value_loss": loss, "value": float(told.detach().mean()) * self.config.scale, "spread": apart}

    def _samples(self, filled: Bool) -> Bool:
        """(B, K) -> (B, K, M) whether each slot is in each head's sample of this update."""
        rng = derive(self.config.seed, "bootstrap", str(self._learned.updates))
        return (rng.random((*filled.shape, self.config.heads)) < 0.5) & filled[:, :, None]

    @torch.no_grad()
    def _targets(self, batch: Batch) -> F64:
        """(B, K, M) what each head is to say of each slot: its reward and its share of what that head hopes for after it."""
        config, slots = self.config, (batch.action >= 0).sum(axis=1)
        after = np.zeros((len(batch), config.heads))
        if config.ahead:
            slow = self._learned.target
            worth = _scores(slow, slow.user(batch.next_state), tensor_items(batch.next_items), self._slow).double().numpy()
            after = best_slates(worth, batch.next_mask[:, None], slots[:, None]) * config.scale
        else:
            batch = replace(batch, between=0.0)
        return np.stack([slot_targets(batch, head) for head in after.T], axis=2)

    def state_dict(self) -> Arrays:
        heads = {"heads": self._heads.detach().numpy().copy(), "slow": self._slow.numpy().copy()}
        return {**self._learned.state_dict(""), **heads, **optimizer_arrays(self._optimizer, "optimizer.heads.")}

    def load_state_dict(self, state: Arrays) -> None:
        self._learned.load_state_dict({n: a for n, a in state.items() if not n.startswith("optimizer.heads.")}, "")
        for name, held in (("heads", self._heads), ("slow", self._slow)):
            found = torch.from_numpy(shaped(state, name, tuple(held.shape)).astype(np.float32))
            with torch.no_grad():
                held.copy_(found)
        load_optimizer(self._optimizer, state, "optimizer.heads.")


def _scores(network: AnyNetwork, user: Tensor, items: Tensor, heads: Tensor) -> Tensor:
    """(B, H), (B, C, D) or (C, D), (2, M, H) weights and what is added -> (B, M, C)."""
    return torch.stack([network.score(user * weight + own, items) for weight, own in heads.unbind(1)], dim=1)
