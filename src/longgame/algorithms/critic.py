"""What algorithms that learn values share: a network, its slowly following copy, and the step of Adam."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from longgame.algorithms.towers import Towers, TowersConfig
from longgame.arrays import Batch
from longgame.artefacts import Arrays
from longgame.errors import ArtefactError, ConfigError
from longgame.networks import NetworkConfig, UserNetwork, from_arrays, load_optimizer, optimizer_arrays, to_arrays
from longgame.types import F64

AnyNetwork = UserNetwork | Towers
AnyNetworkConfig = NetworkConfig | TowersConfig


def network_of(config: AnyNetworkConfig, seed: int = 0) -> AnyNetwork:
    """The network that a config describes."""
    return Towers(config, seed) if isinstance(config, TowersConfig) else UserNetwork(config, seed)


def network_from(config: AnyNetworkConfig, arrays: Arrays, prefix: str = "") -> AnyNetwork:
    """A network with those weights, in use: it drops nothing. Raises ArtefactError where they are another network's."""
    network = deepcopy(_blank(config))
    from_arrays(network, arrays, prefix)
    return network.eval()


@lru_cache(maxsize=16)
def _blank(config: AnyNetworkConfig) -> AnyNetwork:
    """Made once: to draw first weights that are thrown away takes longer than to read the others."""
    return network_of(config)


def network_config(about: Mapping[str, Any]) -> AnyNetworkConfig:
    """The inverse of ``dataclasses.asdict`` on either config."""
    return TowersConfig(**about) if "layers" in about else NetworkConfig(**about)


@dataclass(frozen=True)
class Pace:
    """How fast a network learns."""

    rate: float = 1e-3
    """Of AdamW, above 0."""
    lasts: int = 0
    """Updates over which the rate falls evenly to a twentieth, where it stays: what is learned settles. 0: it does not fall."""
    follow: float = 0.02
    """Share of the way that the slow copy moves an update, in (0, 1]."""
    decay: float = 0.0
    """Weight decay (L2, decoupled), 0 or more."""

    def __post_init__(self) -> None:
        if not self.rate > 0 or not 0 < self.follow <= 1 or self.decay < 0 or self.lasts < 0:
            raise ConfigError(f"Pace: rate must be above 0, follow in (0, 1], lasts and decay not below 0, got {self}")

    def at(self, update: int) -> float:
        """The rate of one update, counted from 0."""
        return self.rate * max(0.05, 1.0 - update / self.lasts) if self.lasts else self.rate


class Learned:
    """A network in training and a copy that follows it.

    The copy moves ``follow`` of the way after each step (Polyak averaging; Lillicrap et al., ICLR 2016, have .001): targets
    that are computed with it do not run after themselves.
    """

    def __init__(self, config: AnyNetworkConfig, pace: Pace, seed: int, start: Arrays | None = None) -> None:
        self.config, self.pace, self.seed, self.updates = config, pace, seed, 0
        self.network, self.target = network_of(config, seed), network_of(config, seed)
        if start is not None:
            from_arrays(self.network, start)
            from_arrays(self.target, start)
        self.network.eval()
        self.target.requires_grad_(False).eval()
        self._weights: list[Tensor] = list(self.network.parameters())
        self._slow: list[Tensor] = list(self.target.parameters())
        # fused: one pass a parameter, and one order of additions, so that resuming equals never stopping to the last bit
        self._optimizer = torch.optim.AdamW(self._weights, pace.rate, weight_decay=pace.decay, fused=True)

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Within it the network drops what its config says, the same for the same seed and update; the copy never does."""
        if not self.config.dropout:
            yield
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed * 1_000_003 + self.updates)
            self.network.train()
            try:
                yield
            finally:
                self.network.eval()

    def step(self, loss: Tensor, limit: float = 10.0) -> float:
        """Down the gradient of ``loss``, whose length is at most ``limit``. What the loss was."""
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation lacks it
        torch.nn.utils.clip_grad_norm_(self._weights, limit)
        for group in self._optimizer.param_groups:
            group["lr"] = self.pace.at(self.updates)
        self._optimizer.step()
        self.updates += 1
        with torch.no_grad():
            torch._foreach_lerp_(self._slow, self._weights, self.pace.follow)
        return float(loss.detach())

    def state_dict(self, prefix: str) -> dict[str, np.ndarray[Any, Any]]:
        moments = optimizer_arrays(self._optimizer, f"optimizer.{prefix}")
        count = {f"{prefix}updates": np.array([self.updates])}
        return {
            **to_arrays(self.network, f"{prefix}network."),
            **to_arrays(self.target, f"{prefix}target."),
            **moments,
            **count,
        }

    def load_state_dict(self, state: Arrays, prefix: str) -> None:
        from_arrays(self.network, state, f"{prefix}network.")
        from_arrays(self.target, state, f"{prefix}target.")
        load_optimizer(self._optimizer, state, f"optimizer.{prefix}")
        self.updates = int(number(state, f"{prefix}updates"))


def number(state: Arrays, name: str) -> float:
    """A single number of a checkpoint. Raises ArtefactError where it is missing or of another shape."""
    held = state.get(name)
    if held is None or held.shape != (1,):
        found = "nothing" if held is None else f"shape {held.shape}"
        raise ArtefactError(f"checkpoint: {name} must have shape (1,), got {found}")
    return float(held[0])


def slate_return(batch: Batch, after: F64) -> F64:
    """(B,) the slate's reward, those of the decisions between, and ``after`` (B,), what the decision looked at is worth."""
    reward = np.where(batch.action >= 0, batch.reward, 0.0).sum(axis=1)
    out: F64 = reward + batch.between + batch.discount * after
    return out
