"""REINFORCE with the top-K off-policy correction, on a network over state and candidates.

Chen, Beutel, Covington, Jain, Belletti, Chi: "Top-K Off-Policy Correction for a REINFORCE Recommender System",
WSDM 2019. Their gradient (eq. 6) for an action a logged by another policy b is

    pi(a|s) / b(a|s) * lambda_K(s, a) * R * grad log pi(a|s),    lambda_K = K (1 - pi(a|s))^(K-1)

with the ratio capped (section 4.4) and R the discounted return. Deviations, each because our log says more
than theirs: b is the logged propensity, not an estimate; pi and b are conditional on the slots before (the
sampler draws without replacement), while lambda_K uses the first-slot probability; R is the slot's own reward plus
the user's discounted future, less a learned value of the state (a baseline, which moves no expectation); the
policy that is differentiated is the one that will be served, exploration included (``slate``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from longgame.algorithms.actor import entropy
from longgame.algorithms.critic import AnyNetworkConfig, network_from, network_of
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest
from longgame.errors import ConfigError
from longgame.networks import (
    from_arrays,
    load_optimizer,
    optimizer_arrays,
    tensor_items,
    to_arrays,
)
from longgame.slate import Exploration, pick_probabilities, slot_log_prob_gradient, slot_log_probs
from longgame.types import F32, F64, Bool


@dataclass(frozen=True)
class ReinforceConfig:
    """How REINFORCE learns."""

    network: AnyNetworkConfig
    learning_rate: float = 1e-3
    """Of Adam, above 0."""
    ratio_cap: float = 10.0
    """Largest importance ratio of a slot; smaller is less variance and more bias."""
    trust: float = 4.0
    """A pick whose ratio is above 1 + trust is not made likelier, one below 1 / (1 + trust) not unlikelier: the clip of
    PPO (Schulman et al. 2017, eq. 7) against the policy of the log, so that what is learned can still be proven on that
    log. 0 sets no limit."""
    top_k: int = 0
    """K of the top-K correction: the slots the policy will fill. 0 means the K of the batch; 1 turns it off."""
    entropy: float = 1e-3
    """Weight of the entropy bonus over the candidates; keeps the policy from closing too early."""
    value_weight: float = 0.5
    """Weight of the squared error of the state's value, relative to the variance of returns."""
    trace: float = 1.0
    """How far the future is the log's own and how far the learned value of the state that comes next, in [0, 1]: 1 is the
    Monte Carlo return of the paper, 0 a temporal difference over one step or, where the batch has them (``Batch.between``),
    several: less noise, and the bias of that value."""
    average: float = 0.98
    """The policy handed out is a running mean of the network's weights (Polyak & Juditsky 1992) that forgets this slowly
    an update, in [0, 1): one batch more or less then moves it little. 0 hands out the last weights."""
    credit_responses: bool = True
    """Credit the future only to the slots the user responded to: what was passed over changed nothing. (SlateQ's
    assumption, Ie et al. 2019, section 4.2.) False credits it to the whole slate, without bias and with
    K times the noise. (The value is taken off at responses only, so an error of it makes responses look better or worse.)"""
    discount_future: bool = True
    """False ignores everything after the slate: a myopic learner, the baseline to beat."""
    explore: Exploration = field(default_factory=Exploration)
    """The exploration the policy will be served with; the ratio is of that policy."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.ratio_cap <= 0 or min(self.top_k, self.entropy, self.trust) < 0:
            raise ConfigError(
                f"ReinforceConfig: learning_rate and ratio_cap above 0, top_k, entropy and trust not below, got {self}"
            )
        if not 0 <= self.trace <= 1 or not 0 <= self.average < 1:
            raise ConfigError(f"ReinforceConfig: trace must lie in [0, 1] and average in [0, 1), got {self}")


def slot_weights(ratio: F64, chance: F64, advantage: F64, filled: Bool, k: int, trust: float) -> F64:
    """(B, K) what the gradient of each pick's log-probability counts: ratio * lambda_K * advantage (eq. 6 and section 4.4).

    lambda_K is k (1 - p)^(k - 1) of the pick's ``chance`` p in the first slot. 0 in an empty slot, and where a step would lead
    further away from the policy of the log than ``trust`` allows (0: no bound).
    """
    limit = 1 + trust if trust else np.inf
    trusted = np.where(advantage > 0, ratio < limit, ratio > 1 / limit)
    out: F64 = np.where(filled & trusted, ratio * k * (1 - chance) ** (k - 1) * advantage, 0.0)
    return out


class NetworkPolicy:
    """A frozen network's scores."""

    def __init__(self, config: AnyNetworkConfig, arrays: Arrays, name: str = "network") -> None:
        self._config, self._network = config, network_from(config, arrays)
        self.version = f"{name}-{digest(to_arrays(self._network))}"

    @torch.inference_mode()
    def score(self, state: State, items: F32, mask: Bool) -> F32:
        out: F32 = self._network.score(self._network.user(state), tensor_items(items)).numpy()
        return out

    def state_dict(self) -> Arrays:
        return to_arrays(self._network)

    def about(self) -> Mapping[str, Any]:
        return {"kind": "network", "name": self.version.rpartition("-")[0], "network": asdict(self._config)}


class Reinforce:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network."""

    needs_future = True
    """It learns from what the log tells of the future (``Batch.future``), which a replay of steps does not."""

    def __init__(self, config: ReinforceConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._network = network_of(config.network, config.seed)
        if start is not None:
            from_arrays(self._network, start)
        self._network.eval()
        self._mean = to_arrays(self._network)
        self._scale = 0.0
        # foreach=False: one order of additions, so that resuming equals never stopping to the last bit
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=config.learning_rate, foreach=False)

    @property
    def policy(self) -> NetworkPolicy:
        return NetworkPolicy(self.config.network, self._mean, "reinforce")

    def update(self, batch: Batch) -> Mapping[str, float]:
        config, explore = self.config, self.config.explore
        user = self._network.user(batch.state)
        scores = self._network.score(user, tensor_items(batch.items))
        value = self._network.value(user)
        held = scores.detach().numpy()
        filled = batch.action >= 0
        count = max(int(filled.sum()), 1)

        value_loss, advantage = self._advantage(batch, value, filled)
        logged = np.log(batch.propensity)
        ratio = np.exp(
            np.minimum(slot_log_probs(held, batch.allowed, batch.action, explore) - logged, np.log(config.ratio_cap))
        )
        first = pick_probabilities(held, batch.mask, explore)
        chance = np.take_along_axis(first, np.maximum(batch.action, 0), axis=1)
        weight = slot_weights(ratio, chance, advantage, filled, config.top_k or batch.action.shape[1], config.trust)
        gradient = slot_log_prob_gradient(held, batch.allowed, batch.action, explore, weight) / count
        spread = entropy(scores, torch.from_numpy(batch.mask))
        self._optimizer.zero_grad()
        # Ascend the return: the formula's own gradient goes in at the scores, the two torch losses join it below.
        torch.autograd.backward(
            [scores, config.value_weight * value_loss - config.entropy * spread],
            [torch.from_numpy(-gradient.astype(np.float32)), None],
        )
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0, foreach=False)
        self._optimizer.step()
        for name, value in self._network.state_dict().items():
            self._mean[name] += (1 - config.average) * (value.numpy() - self._mean[name])
        return {
            "reward": float(batch.reward[filled].mean()) if filled.any() else 0.0,
            "ratio": float(ratio[filled].mean()) if filled.any() else 1.0,
            "capped": float((ratio[filled] >= config.ratio_cap * 0.999).mean()) if filled.any() else 0.0,
            "value_loss": float(value_loss.detach()),
            "entropy": float(spread.detach()),
        }

    def _advantage(self, batch: Batch, value: torch.Tensor, filled: Bool) -> tuple[torch.Tensor, F64]:
        """The loss of the state's value, and how much better each slot did than was to be expected, (B, K).

        The value foretells the slate's reward and the future after it, in units of ``_scale``. A slot answers for its
        own reward and for the future, which is the whole slate's doing; what is taken off is a baseline.
        """
        reward = np.where(filled, batch.reward, 0.0).astype(np.float64)
        slate = reward.sum(axis=1)
        own = reward - reward.sum() / max(int(filled.sum()), 1)
        if not self.config.discount_future:
            return (value**2).mean() * 0.0, own / max(float(own[filled].std()) if filled.any() else 0.0, 1e-6)
        worth = slate + batch.future
        spread = float(worth.std())
        self._scale = spread if self._scale == 0.0 else 0.99 * self._scale + 0.01 * spread
        scale = max(self._scale, 1e-6)
        loss = ((value - torch.from_numpy((worth / scale).astype(np.float32))) ** 2).mean()
        tail = self.config.trace * batch.future.astype(np.float64)
        if self.config.trace < 1:
            with torch.no_grad():
                after = self._network.value(self._network.user(batch.next_state)).numpy().astype(np.float64) * scale
            tail += (1 - self.config.trace) * (batch.between + batch.discount * after)
        expected = value.detach().numpy() * scale - slate.mean()
        ahead = np.repeat((tail - expected)[:, None], own.shape[1], axis=1)
        advantage = own + (np.where(batch.response, ahead, 0.0) if self.config.credit_responses else ahead)
        return loss, advantage / max(float(advantage[filled].std()) if filled.any() else 0.0, 1e-6)

    def state_dict(self) -> Arrays:
        scale = {"scale": np.array([self._scale])}
        mean = {f"mean.{name}": value.copy() for name, value in self._mean.items()}
        return {**to_arrays(self._network, "network."), **mean, **optimizer_arrays(self._optimizer), **scale}

    def load_state_dict(self, state: Arrays) -> None:
        from_arrays(self._network, state, "network.")
        mean = network_of(self.config.network)
        from_arrays(mean, state, "mean.")
        self._mean = to_arrays(mean)
        load_optimizer(self._optimizer, state)
        self._scale = float(state["scale"][0])
