"""SlateQ: what a slate is worth in the long run, from what each of its items is worth if it is the one that is taken.

Ie et al., "SlateQ: A Tractable Decomposition for Reinforcement Learning with Recommendation Sets", IJCAI 2019. A user takes
one item of a slate, or none, and only that changes anything. So the value of a slate is the mean of the values of its items,
weighed with the chance that each is taken (their eq. 12), and the value Q(s, i) of an item that was taken follows Q-learning
over the best next slate (their eq. 15 with the maximum of section 5):

    Q(s, i) <- r + gamma W(s'),   W(s') = max over slates A of sum over i in A and none of P(i | s', A) Q(s', i)

Deviations, each because it moves the score:

- *None has a value*: a user who takes nothing goes on. Their code sets it to 0, so that a slate that is passed over looks like
  an end. Here it is learned from the slates that were passed over.
- *The choice is learned* from what was taken (a conditional logit, McFadden 1974, of scores by a network of its own); RecSim's
  agent is handed the user's own choice function.
- The best slate is found outright (``slates``, way *lp*); *greedy* and *top* are theirs too.
- The next slate is chosen by the network and judged by the slow copy (van Hasselt et al., AAAI 2016), so that W is no maximum
  over noise.
- Several responses to a slate, which their user cannot give, share what is learned of it: the mean of their values stands for
  the slate's whole reward and what comes after.
- n-step returns where the batch has them (``Batch.between``), uncorrected for exploration.
- *Several critics*, where ``critics`` says so, each from weights of its own: what they say is their mean, in targets and when
  served (Anschel, Baram and Shimkin, "Averaged-DQN", ICML 2017, section 4.2: the error of targets falls with their number).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from longgame.algorithms.critic import AnyNetwork, AnyNetworkConfig, Learned, Pace, network_config, network_from, slate_return
from longgame.algorithms.slates import WAYS, slate_scores, slate_value
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest
from longgame.errors import ConfigError
from longgame.networks import tensor_items, to_arrays
from longgame.types import F32, F64, I64, Bool

_SURE = 6.0
"""Largest size of a choice's logit: e^6 times as likely as none is certain enough."""


@dataclass(frozen=True)
class SlateQConfig:
    """How SlateQ learns."""

    network: AnyNetworkConfig
    slots: int
    """K, of the slates that it will fill."""
    way: str = "lp"
    """How the best slate is found: lp, greedy or top."""
    pace: Pace = field(default_factory=lambda: Pace(follow=0.05))
    """Of both networks."""
    scale: float = 1.0
    """A unit of the network's values in units of the reward, above 0: about as large as a return."""
    double: bool = True
    """Whether one network chooses the next slate and another judges it."""
    critics: int = 1
    """Networks whose mean is the value, 1 or more: what one mistakes for good the others do not. Each costs its time."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise ConfigError(f"SlateQConfig.way: must be one of {', '.join(WAYS)}, got {self.way!r}")
        if min(self.slots, self.critics) < 1 or not self.scale > 0:
            raise ConfigError(f"SlateQConfig: slots and critics must be 1 or more and scale above 0, got {self}")


class SlateQPolicy:
    """Log-preferences whose K best are the slate that is worth most: drawn at a low temperature, that is what is shown."""

    def __init__(self, about: Mapping[str, Any], arrays: Arrays) -> None:
        self._about = dict(about)
        config = network_config(about["network"])
        self._values = [network_from(config, arrays, _prefix(number)) for number in range(about.get("critics", 1))]
        self._choice = network_from(config, arrays, "choice.")
        decides = {"slots": np.array([about["slots"]]), "way": np.array([WAYS.index(about["way"])])}
        self.version = f"slateq-{digest({**self.state_dict(), **decides})}"

    @torch.inference_mode()
    def score(self, state: State, items: F32, mask: Bool) -> F32:
        offered = tensor_items(items)
        weight = _weights(self._choice.score(self._choice.user(state), offered))
        worth, nothing = _said(self._values, state, offered)
        scores = slate_scores(weight, worth, nothing, mask, self._about["slots"], self._about["way"])
        return np.where(mask, scores, 0.0).astype(np.float32)

    def _named(self) -> list[tuple[str, AnyNetwork]]:
        return [*((_prefix(number), network) for number, network in enumerate(self._values)), ("choice.", self._choice)]

    def state_dict(self) -> Arrays:
        return {name: array for prefix, network in self._named() for name, array in to_arrays(network, prefix).items()}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "slateq", **self._about}


def choice_loss(shown: Tensor, filled: Tensor, taken: Tensor) -> Tensor:
    """The conditional logit's: minus the mean log-chance of what was taken; None has the log-odds 0.

    ``shown`` (B, K) log-odds, ``filled`` (B, K) False in an empty slot, ``taken`` (B, K) how far each was what was taken.
    """
    open_ = _bounded(shown).masked_fill(~filled, -1e9)
    every = torch.cat([open_, torch.zeros(len(open_), 1)], dim=1)
    return functional.cross_entropy(every, torch.cat([taken, 1.0 - taken.sum(dim=1, keepdim=True)], dim=1))


class SlateQ:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network: the choice begins there."""

    def __init__(self, config: SlateQConfig, start: Arrays | None = None) -> None:
        self.config = config
        seeds = [config.seed, *range(config.seed + 2, config.seed + 1 + config.critics)]
        self._values = [Learned(config.network, config.pace, seed) for seed in seeds]
        self._choice = Learned(config.network, config.pace, config.seed + 1, start)

    @property
    def policy(self) -> SlateQPolicy:
        config = self.config
        about = {"network": asdict(config.network), "slots": config.slots, "way": config.way, "critics": config.critics}
        learned = to_arrays(self._choice.network, "choice.")
        for number, values in enumerate(self._values):
            learned |= to_arrays(values.target, _prefix(number))
        return SlateQPolicy(about, learned)

    def update(self, batch: Batch) -> Mapping[str, float]:
        taken = _taken(batch.response, batch.action)
        with self._choice.learning():
            loss = self._choice_loss(batch, taken)
        choice = self._choice.step(loss)
        target = torch.from_numpy((self._target(batch) / self.config.scale).astype(np.float32))
        told, losses = [], []
        for values in self._values:
            with values.learning():
                said = _told(values.network, batch, taken)
            told.append(said.detach().double().numpy())
            losses.append(values.step(functional.smooth_l1_loss(said, target)))
        mean: F64 = np.mean(told, axis=0)
        self.errors: F64 = target.double().numpy() - mean  # (B,), for a replay by priority
        value = float(mean.mean()) * self.config.scale
        return {"choice_loss": choice, "value_loss": float(np.mean(losses)), "value": value}

    def _choice_loss(self, batch: Batch, taken: F32) -> Tensor:
        network = self._choice.network
        logit = network.score(network.user(batch.state), tensor_items(batch.items))
        shown = logit.gather(1, torch.from_numpy(np.maximum(batch.action, 0)))
        return choice_loss(shown, torch.from_numpy(batch.action >= 0), torch.from_numpy(taken))

    @torch.no_grad()
    def _target(self, batch: Batch) -> F64:
        """(B,) the slate's reward and what comes after it."""
        return slate_return(batch, self._after(batch.next_state, batch.next_items, batch.next_mask) * self.config.scale)

    def _after(self, state: State, items: F32, mask: Bool) -> F64:
        """(B,) what the best next slate is worth, in units of the scale."""
        config, offered = self.config, tensor_items(items)
        choice = self._choice.network
        weight = _weights(choice.score(choice.user(state), offered))
        worth, nothing = _said([values.target for values in self._values], state, offered)
        judged, idle = worth, nothing
        if config.double:
            judged, idle = _said([values.network for values in self._values], state, offered)
        scores = slate_scores(weight, judged, idle, mask, config.slots, config.way)
        take = min(config.slots, mask.shape[1])
        best = np.argpartition(-scores, take - 1, axis=1)[:, :take]
        return slate_value(weight, worth, nothing, best, mask)

    def state_dict(self) -> Arrays:
        return {name: array for prefix, part in self._named() for name, array in part.state_dict(prefix).items()}

    def load_state_dict(self, state: Arrays) -> None:
        for prefix, part in self._named():
            part.load_state_dict(state, prefix)

    def _named(self) -> list[tuple[str, Learned]]:
        return [*((_prefix(number), values) for number, values in enumerate(self._values)), ("choice.", self._choice)]


def _prefix(number: int) -> str:
    """Of the arrays of a critic; the first is named as one alone is."""
    return f"values{number + 1}." if number else "values."


def _said(networks: Sequence[AnyNetwork], state: State, offered: Tensor) -> tuple[F64, F64]:
    """(B, C), (B,) what they say, on average, that each item is worth if it is taken, and that nothing is."""
    worth, nothing = [], []
    for network in networks:
        user = network.user(state)
        worth.append(network.score(user, offered).double().numpy())
        nothing.append(network.value(user).double().numpy())
    return np.mean(worth, axis=0), np.mean(nothing, axis=0)


def _told(network: AnyNetwork, batch: Batch, taken: F32) -> Tensor:
    """(B,) what a network says of what was taken, or of nothing."""
    user = network.user(batch.state)
    rows = np.arange(len(taken))[:, None]
    items = torch.from_numpy(batch.items[rows, np.maximum(batch.action, 0)])
    of_items = (network.score(user, items) * torch.from_numpy(taken)).sum(dim=1)
    return torch.where(torch.from_numpy(taken.any(axis=1)), of_items, network.value(user))


def _weights(logit: Tensor) -> F64:
    """(B, C) v beside v_0 = 1."""
    out: F64 = _bounded(logit.detach().double()).exp().numpy()
    return out


def _bounded(logit: Tensor) -> Tensor:
    """Within ``_SURE`` of 0, and never without a gradient that leads back."""
    return _SURE * torch.tanh(logit / _SURE)


def _taken(response: Bool, action: I64) -> F32:
    """(B, K) how far each slot is what was taken: 1, a part where there are several, and all 0 where nothing was."""
    some = response & (action >= 0)
    out: F32 = (some / np.maximum(some.sum(axis=1, keepdims=True), 1)).astype(np.float32)
    return out
