"""DRN: Q-learning that explores by dueling with a slightly other network of its own.

Zheng et al., "DRN: A Deep Reinforcement Learning Framework for News Recommendation", WWW 2018, section 4.5 (dueling bandit
gradient descent; Yue & Joachims, ICML 2009; Grotov & de Rijke, SIGIR 2016). Beside the network of weights W stands an explored
one (eq. 2),

    W~ = W + dW,    dW = spread * rand(-1, 1) * W

and what is shown is interleaved from both lists, slot by slot by the toss of a coin. Where what came from the explored network
did better, W takes a step towards it (eq. 3: W + step * dW); then another one is drawn. What comes next is learned as in
``dqn``.

Deviations: the interleaving is a mixture of two softmaxes, log (p + p~) / 2, drawn by the one sampler: near temperature 0 it is
their probabilistic interleave of two ranked lists, and its probability is known and logged. So who did better need not be asked
of the same visit: each network's list is judged by importance weights, on a log as well, and the difference decides (theirs
compares clicks of one list). Their user activeness is not in here: it is a reward, and so the objective's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from longgame.algorithms.critic import AnyNetworkConfig, Pace, network_config, network_from
from longgame.algorithms.dqn import Dqn, DqnConfig
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest
from longgame.errors import ConfigError
from longgame.networks import tensor_items, to_arrays
from longgame.rng import derive
from longgame.slate import Exploration, pick_probabilities, slot_log_probs
from longgame.types import F32, F64, Bool

_CAP = 10.0
"""Largest importance ratio of a slot."""


@dataclass(frozen=True)
class DrnConfig:
    """How it learns and how far it looks around."""

    network: AnyNetworkConfig
    pace: Pace = field(default_factory=Pace)
    spread: float = 0.1
    """How far the explored network is from the other, as a share of each weight; above 0. (Theirs: alpha.)"""
    step: float = 0.05
    """Share of the way towards an explored network that did better, in [0, 1]. (Theirs: eta.)"""
    temperature: float = 0.1
    """Of both softmaxes, in units of ``scale``, above 0; towards 0 they are ranked lists."""
    scale: float = 1.0
    """A unit of the network's values in units of the reward, above 0: about as large as a return."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.spread, self.temperature, self.scale) <= 0 or not 0 <= self.step <= 1:
            raise ConfigError(f"DrnConfig: spread, temperature and scale must be above 0 and step lie in [0, 1], got {self}")


def explored(weights: Arrays, spread: float, rng: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
    """W -> W + dW, their eq. 2."""
    return {name: (w + spread * rng.uniform(-1.0, 1.0, w.shape) * w).astype(w.dtype) for name, w in sorted(weights.items())}


def interleaved(one: F32, other: F32, mask: Bool, temperature: float) -> F32:
    """(B, C) values of two networks -> (B, C) log of the mean of their softmaxes; finite where the mask is."""
    explore = Exploration(temperature, 0.0)
    mixed = (pick_probabilities(one, mask, explore) + pick_probabilities(other, mask, explore)) / 2
    out: F32 = np.log(np.maximum(mixed, 1e-30)).astype(np.float32)
    return out


def duel(one: F32, other: F32, batch: Batch, temperature: float) -> float:
    """How much more a slot brings as ``other`` (B, C) would have filled it than as ``one`` would, by importance weights.

    Less the mean reward, which both bring: a baseline that moves no expectation.
    """
    filled = batch.action >= 0
    if not filled.any():
        return 0.0
    explore = Exploration(temperature, 0.0)
    own, its = (
        np.minimum(np.exp(slot_log_probs(scores, batch.allowed, batch.action, explore)) / batch.propensity, _CAP)
        for scores in (one, other)
    )
    gained = batch.reward.astype(np.float64) - float(batch.reward[filled].mean())
    return float(((its - own) * gained)[filled].mean())


class DrnPolicy:
    """The log-preferences of a list that is interleaved from two networks: drawn at temperature 1."""

    def __init__(self, about: Mapping[str, Any], arrays: Arrays) -> None:
        """``about`` holds the ``network``'s config and the ``temperature``."""
        self._about = dict(about)
        config = network_config(about["network"])
        self._own, self._other = network_from(config, arrays, "own."), network_from(config, arrays, "explored.")
        self.version = f"drn-{digest(self.state_dict(), temperature=about['temperature'])}"

    @torch.inference_mode()
    def score(self, state: State, items: F32, mask: Bool) -> F32:
        offered = tensor_items(items)
        own, other = (net.score(net.user(state), offered).numpy() for net in (self._own, self._other))
        return interleaved(own, other, mask, self._about["temperature"])

    def state_dict(self) -> Arrays:
        return {**to_arrays(self._own, "own."), **to_arrays(self._other, "explored.")}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "drn", **self._about}


class Drn:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network."""

    def __init__(self, config: DrnConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._values = Dqn(DqnConfig(config.network, config.pace, scale=config.scale, seed=config.seed), start)

    @property
    def policy(self) -> DrnPolicy:
        about = {"network": asdict(self.config.network), "temperature": self.config.temperature}
        own = to_arrays(self._values.learned.target)
        other = {f"explored.{name}": array for name, array in self._explored(own).items()}
        return DrnPolicy(about, {**{f"own.{name}": array for name, array in own.items()}, **other})

    @property
    def errors(self) -> F64:
        """(B,) of the batch that it learned from last, for a replay by priority."""
        return self._values.errors

    def update(self, batch: Batch) -> Mapping[str, float]:
        gain = self._duel(batch)
        metrics = self._values.update(batch)
        return {"value_loss": metrics["value_loss"], "value": metrics["value"], "duel": gain}

    def _duel(self, batch: Batch) -> float:
        """Judge the explored network on the batch, and take a step towards it where it did better; by how much it did."""
        learned = self._values.learned
        own = to_arrays(learned.target)
        other = network_from(self.config.network, self._explored(own))
        offered = tensor_items(batch.items)
        with torch.no_grad():
            mine, its = (net.score(net.user(batch.state), offered).numpy() for net in (learned.target, other))
            gain = duel(mine, its, batch, self.config.temperature)
            if gain > 0:
                shift = dict(other.named_parameters())
                for net in (learned.network, learned.target):  # both, or the next steps would lead back
                    for name, weight in net.named_parameters():
                        weight.add_(shift[name] - torch.from_numpy(own[name]), alpha=self.config.step)
        return gain

    def _explored(self, own: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        """The explored network beside this one: another after each update, the same whenever it is asked for between."""
        return explored(own, self.config.spread, derive(self.config.seed, "drn", str(self._values.learned.updates)))

    def state_dict(self) -> Arrays:
        return self._values.state_dict()

    def load_state_dict(self, state: Arrays) -> None:
        self._values.load_state_dict(state)
