"""Decision Transformer: what was done when it went well, asked for with how well it is to go.

Chen et al., "Decision Transformer: Reinforcement Learning via Sequence Modeling", NeurIPS 2021. A network learns what was
shown, given the history and the return that came of it (return-to-go), by imitation alone; it is then told the return that is
wanted.

    loss = - log pi(a | history, context, return-to-go)

Deviations, for the house's network reads a history of items: the return-to-go of now is one more number of the context,
instead of a token at each step beside states and actions, so it says what is to come and not what was hoped for at earlier
steps; it is in standard deviations from the log's mean, both of which are running ones, and ``target`` of them are asked for;
it is of the slate and all that follows it, discounted as the objective says (theirs is not). An item that was shown before
something lucky is imitated too: what is learned is what good days look like, not what makes them (Paster et al., NeurIPS
2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from longgame.algorithms.critic import AnyNetworkConfig, Learned, Pace, network_config, network_from
from longgame.algorithms.imitation import imitation_loss
from longgame.algorithms.towers import TowersConfig
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest, shaped
from longgame.errors import ConfigError
from longgame.networks import tensor, tensor_items, to_arrays
from longgame.types import F32, F64, Bool


@dataclass(frozen=True)
class DecisionTransformerConfig:
    """How it learns, and what it is asked for."""

    network: AnyNetworkConfig
    """Of the state as it is: the return-to-go is added to its context."""
    pace: Pace = field(default_factory=Pace)
    target: float = 1.0
    """Return-to-go that is asked for, in standard deviations above the log's mean. Far above what the log has, it guesses."""
    forget: float = 0.01
    """Share of the running mean and spread that a batch replaces, in (0, 1]."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.forget <= 1 or not np.isfinite(self.target):
            raise ConfigError(f"DecisionTransformerConfig: forget must lie in (0, 1] and target be finite, got {self}")


def told(state: State, return_to_go: F32) -> State:
    """State of B, (B,) -> the same with the return-to-go as the last number of the context."""
    return replace(state, context=np.concatenate([state.context, return_to_go[:, None].astype(np.float32)], axis=1))


def returns_to_go(batch: Batch) -> F64:
    """(B,) what each slate brought and all that followed it, discounted."""
    out: F64 = np.where(batch.action >= 0, batch.reward, 0.0).sum(axis=1, dtype=np.float64) + batch.future
    return out


class DecisionTransformerPolicy:
    """Log-preferences of who wants a return of ``target``."""

    def __init__(self, about: Mapping[str, Any], arrays: Arrays) -> None:
        """``about`` holds the ``network``'s config, its context one wider than the state's, and the ``target``."""
        self._about = dict(about)
        self._network = network_from(network_config(about["network"]), arrays)
        self.version = f"decision-transformer-{digest(self.state_dict(), target=about['target'])}"

    @torch.inference_mode()
    def score(self, state: State, items: F32, mask: Bool) -> F32:
        wanted = told(state, np.full(len(mask), self._about["target"], np.float32))
        out: F32 = self._network.score(self._network.user(wanted), tensor_items(items)).numpy()
        return out

    def state_dict(self) -> Arrays:
        return to_arrays(self._network)

    def about(self) -> Mapping[str, Any]:
        return {"kind": "decision-transformer", **self._about}


class DecisionTransformer:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the network without the return-to-go."""

    needs_future = True
    """It learns from what the log tells of the future (``Batch.future``), which a replay of steps does not."""

    def __init__(self, config: DecisionTransformerConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._network = replace(config.network, context=config.network.context + 1)
        self._learned = Learned(
            self._network, config.pace, config.seed, None if start is None else widened(start, self._network)
        )
        self._seen: F64 = np.array([0.0, 0.0])
        """Running mean and standard deviation of returns-to-go"""

    @property
    def policy(self) -> DecisionTransformerPolicy:
        about = {"network": asdict(self._network), "target": self.config.target}
        return DecisionTransformerPolicy(about, to_arrays(self._learned.target))

    def update(self, batch: Batch) -> Mapping[str, float]:
        returns, network = returns_to_go(batch), self._learned.network
        new = np.array([returns.mean(), returns.std()])
        self._seen = new if not self._learned.updates else self._seen + self.config.forget * (new - self._seen)
        mean, spread = self._seen
        wanted = np.clip((returns - mean) / max(float(spread), 1e-6), -10.0, 10.0).astype(np.float32)
        with self._learned.learning():
            scores = network.score(network.user(told(batch.state, wanted)), tensor_items(batch.items))
        loss = self._learned.step(imitation_loss(scores, tensor(batch.allowed), torch.from_numpy(batch.action)))
        return {"loss": loss, "return": float(mean)}

    def state_dict(self) -> Arrays:
        return {**self._learned.state_dict(""), "returns": self._seen.copy()}

    def load_state_dict(self, state: Arrays) -> None:
        self._learned.load_state_dict(state, "")
        self._seen = shaped(state, "returns", (2,))


def widened(start: Arrays, network: AnyNetworkConfig) -> Arrays:
    """A checkpoint of the network without the last number of its context -> of the network with it, saying the same."""
    name = "layers.0.weight" if isinstance(network, TowersConfig) else "context.weight"
    none = np.zeros((network.hidden, 1), np.float32)
    return {**start, name: np.concatenate([start[name], none], axis=1) if name in start else none}
