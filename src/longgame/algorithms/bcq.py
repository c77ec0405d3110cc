"""Discrete BCQ: Q-learning among the items that the log might have shown, and no others.

Fujimoto, Conti, Ghavamzadeh & Pineau: "Benchmarking Batch Deep Reinforcement Learning Algorithms", 2019, eq. 9 to 11. A
network G learns what was shown in a state (imitation); only items that are at least ``threshold`` times as likely as the
likeliest count, in the maximum of the target and in what is shown:

    among a with G(a | s) / max G(. | s) > threshold:   Q(s, a) <- r + gamma max over a' of Q(s', a')

At threshold 0 it is ``dqn``, towards 1 it imitates. The values are learned by ``Dqn`` itself, double and without dueling
(whose mean would be over other items now than next), from batches in which the unlikely are not offered next.

Deviations: G is a network of its own and shares no layers with Q; their penalty on G's logits is not used; where slates have
more slots than there are likely items, the next likeliest follow, in G's order, in what is shown and in the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from longgame.algorithms.critic import AnyNetworkConfig, Learned, Pace, network_config, network_from
from longgame.algorithms.dqn import Dqn, DqnConfig
from longgame.algorithms.imitation import imitation_loss
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest
from longgame.errors import ConfigError
from longgame.networks import tensor, tensor_items, to_arrays
from longgame.types import F32, F64, I64, Bool

_FAR = 1e3
"""Units that the unlikely lie below the likely: beyond any draw."""


@dataclass(frozen=True)
class BcqConfig:
    """How BCQ learns."""

    network: AnyNetworkConfig
    pace: Pace = field(default_factory=Pace)
    """Of both networks."""
    threshold: float = 0.3
    """Times as likely as the likeliest that an item must be in the log to count, in [0, 1)."""
    scale: float = 1.0
    """A unit of the network's values in units of the reward, above 0: about as large as a return."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1 or not self.scale > 0:
            raise ConfigError(f"BcqConfig: threshold must lie in [0, 1) and scale be above 0, got {self}")


def likely(preference: F32 | F64, mask: Bool, threshold: float, slots: I64 | int = 1) -> Bool:
    """(B, C) log-preferences of the log, (B, C) -> (B, C) eq. 10: G / max G > threshold, and always the ``slots`` likeliest.

    ``slots``: one number, or (B, 1).
    """
    open_ = np.where(mask, preference, -np.inf)
    best = open_.max(axis=1, keepdims=True)
    ratio = np.exp(open_ - np.where(np.isfinite(best), best, 0.0))
    place = np.argsort(np.argsort(-open_, axis=1, kind="stable"), axis=1, kind="stable")
    out: Bool = mask & ((ratio > threshold) | (place < slots))
    return out


def among_likely(worth: F32, preference: F32, mask: Bool, threshold: float) -> F32:
    """(B, C) values and log-preferences of the log -> (B, C) scores: values of the likely, and far below them the rest."""
    some = likely(preference, mask, threshold)
    lowest = np.where(some, worth, np.inf).min(axis=1, keepdims=True)
    best = np.where(mask, preference, -np.inf).max(axis=1, keepdims=True)
    below = np.where(mask, preference - best, 0.0)
    out: F32 = np.where(some, worth, np.where(mask, lowest - _FAR + below, 0.0)).astype(np.float32)
    return out


class BcqPolicy:
    """Values of what the log might have shown, in units of the scale: to be drawn by at a low temperature."""

    def __init__(self, about: Mapping[str, Any], arrays: Arrays) -> None:
        """``about`` holds the ``network``'s config and the ``threshold``."""
        self._about = dict(about)
        config = network_config(about["network"])
        self._values, self._log = network_from(config, arrays, "values."), network_from(config, arrays, "log.")
        self.version = f"bcq-{digest(self.state_dict(), threshold=about['threshold'])}"

    @torch.inference_mode()
    def score(self, state: State, items: F32, mask: Bool) -> F32:
        offered = tensor_items(items)
        worth, preference = (net.score(net.user(state), offered).numpy() for net in (self._values, self._log))
        return among_likely(worth, preference, mask, self._about["threshold"])

    def state_dict(self) -> Arrays:
        return {**to_arrays(self._values, "values."), **to_arrays(self._log, "log.")}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "bcq", **self._about}


class Bcq:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network: both begin there."""

    def __init__(self, config: BcqConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._values = Dqn(DqnConfig(config.network, config.pace, dueling=False, scale=config.scale, seed=config.seed), start)
        self._log = Learned(config.network, config.pace, config.seed + 1, start)

    @property
    def policy(self) -> BcqPolicy:
        about = {"network": asdict(self.config.network), "threshold": self.config.threshold}
        values = {f"values.{name}": array for name, array in self._values.policy.state_dict().items()}
        return BcqPolicy(about, {**values, **to_arrays(self._log.target, "log.")})

    @property
    def errors(self) -> F64:
        """(B,) of the batch that it learned from last, for a replay by priority."""
        return self._values.errors

    def update(self, batch: Batch) -> Mapping[str, float]:
        network, slow = self._log.network, self._log.target
        with self._log.learning():
            scores = network.score(network.user(batch.state), tensor_items(batch.items))
        loss = self._log.step(imitation_loss(scores, tensor(batch.allowed), torch.from_numpy(batch.action)))
        with torch.no_grad():
            preference = slow.score(slow.user(batch.next_state), tensor_items(batch.next_items)).numpy()
        slots = (batch.action >= 0).sum(axis=1, keepdims=True)  # the next slate is reckoned as long as this one
        offered = likely(preference, batch.next_mask, self.config.threshold, slots)
        metrics = self._values.update(replace(batch, next_mask=offered))
        share = float(offered.sum()) / max(int(batch.next_mask.sum()), 1)
        return {"value_loss": metrics["value_loss"], "value": metrics["value"], "log_loss": loss, "likely": share}

    def state_dict(self) -> Arrays:
        return {**self._values.state_dict("values."), **self._log.state_dict("log.")}

    def load_state_dict(self, state: Arrays) -> None:
        self._values.load_state_dict(state, "values.")
        self._log.load_state_dict(state, "log.")
