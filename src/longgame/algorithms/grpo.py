"""Group-relative policy optimisation on lists: several lists are drawn for one state, and those above the group's mean gain.

Shao et al., "DeepSeekMath", 2024, eq. 3 and 4, with their outcome supervision (section 4.1.2): G lists for each state, drawn by
the policy, get a reward each; the advantage of a list is its reward less the mean of its group, over the group's deviation, and
every slot of it has that advantage. With the ratio of a pick's chance now to what it was when the lists were drawn,

    J = mean over lists and their slots of min(ratio A, clip(ratio, 1 / (1 + e), 1 + e) A) - beta KL(pi || pi_ref)

and the divergence estimated without bias and never below 0 (their eq. 4). There is no critic: the group is the baseline.

**Where the reward comes from.** A log tells what came of the lists that were shown, and nothing of the lists drawn here. So the
reward is a function that is asked, one of two kinds:

- of what is known of the row: ``learn(state, items, mask, reward)`` takes any function of the slates. With :func:`ndcg` of a
  held-out next item it moves a supervised checkpoint towards the list-wise measure that it is judged by.
- of a model: ``update(batch)`` learns what an item is worth from logged slots, each its reward and a share of what came
  after, and rewards a list by the sum over its slots, each weighed by 1 / log2(slot + 1) as in DCG. What the model is wrong
  about, the lists exploit, and ``beta`` alone does not hold against it: an advantage has deviation 1 however little the model
  tells apart. So it says 0 of every item at first, the policy can ``wait`` while it learns, and what it tells apart by less
  than ``least`` moves the policy less.

Deviations, each because it moves the score: lists are drawn by ``slate`` without replacement, exploration included, and the
ratio is of that draw, given the slots before; the mean is over all slots of the batch alike (theirs: over lists, then over
what is in each; the same where all are as long); where all lists of a group are worth the same, it teaches nothing; the
ratio is clipped as in ``ppo`` (theirs: 1 - e below).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from longgame.algorithms.actor import log_probs, mean_of_filled, refuse_dropout
from longgame.algorithms.critic import AnyNetwork, AnyNetworkConfig, Learned, Pace, network_of, number
from longgame.algorithms.ppo import clipped_loss
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.algorithms.slots import slot_loss, slot_targets
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays
from longgame.errors import ConfigError, ShapeError
from longgame.networks import from_arrays, tensor_items, to_arrays
from longgame.rng import derive
from longgame.slate import Exploration, replay_allowed, sample_slates
from longgame.types import F32, F64, I64, Bool

ListReward = Callable[[I64], F64]
"""(B, G, K) columns of what is offered, -1 in an empty slot -> (B, G) what each list is worth."""


@dataclass(frozen=True)
class GrpoConfig:
    """How the policy learns from groups of lists."""

    network: AnyNetworkConfig
    """Of the policy; the model of rewards has one of the same size. Without dropout."""
    pace: Pace = field(default_factory=Pace)
    """Of both."""
    group: int = 16
    """G, lists drawn for a state, 2 or more."""
    slots: int = 0
    """K, of the lists that are drawn; 0: as many as the batch's slates have."""
    passes: int = 1
    """Steps on one group, 1 or more: from the second on, the ratio is not 1 and the clip matters."""
    clip: float = 0.2
    """e, above 0."""
    beta: float = 0.0
    """Weight of the divergence from the policy that it began with, 0 or more."""
    imitate: float = 0.0
    """Weight of the cross-entropy of what was taken, over what is offered, where ``learn`` is told what that was; 0 or more.
    Few lists tell little of items that they lack: this keeps what supervision taught of them."""
    explore: Exploration = field(default_factory=lambda: Exploration(1.0, 0.0))
    """What lists are drawn with."""
    scale: float = 1.0
    """A unit of the model of rewards in units of the reward, above 0: about as large as one."""
    wait: int = 0
    """Of ``update``: those in which the model learns alone before the policy's first, 0 or more."""
    least: float = 0.05
    """Of ``update``, in units of ``scale``, 0 or more: the least deviation that a group's advantages are told in."""
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_dropout("GrpoConfig", self.network)
        if self.group < 2 or self.passes < 1 or not min(self.clip, self.scale) > 0:
            raise ConfigError(f"GrpoConfig: group must be 2 or more, passes 1 or more, clip and scale above 0, got {self}")
        if min(self.slots, self.beta, self.imitate, self.wait, self.least) < 0:
            raise ConfigError(f"GrpoConfig: slots, beta, imitate, wait and least must not be below 0, got {self}")


def group_advantage(rewards: F64, least: float = 0.0) -> F64:
    """(B, G) -> (B, G) above the mean of the group, in its deviations; 0 throughout where all of it are worth the same.

    A deviation below ``least`` counts as ``least``.
    """
    apart: F64 = rewards - rewards.mean(axis=1, keepdims=True)
    spread = apart.std(axis=1, keepdims=True)
    large = spread > 1e-8 * np.maximum(1.0, np.abs(rewards).max(axis=1, keepdims=True, initial=0.0))
    return np.where(large, apart / np.where(large, np.maximum(spread, least), 1.0), 0.0)


def divergence(logp: Tensor, reference: Tensor) -> Tensor:
    """Eq. 4, per pick: pi_ref / pi - log(pi_ref / pi) - 1 of log-chances of any shape; a log-ratio beyond 20 counts as 20.

    One within 1e-5 of 0 counts as 0: it is rounding, which Adam would make steps of.
    """
    apart = (reference - logp).clamp(max=20.0)
    apart = torch.where(apart.abs() < 1e-5, 0.0, apart)
    return apart.exp() - apart - 1.0


def grpo_loss(
    logp: Tensor, drawn: Tensor, reference: Tensor | None, advantage: Tensor, filled: Tensor, clip: float, beta: float
) -> Tensor:
    """Minus eq. 3: (n, K) log-chances of picks now, when they were drawn and under the reference, (n,) of n lists -> ()."""
    loss = clipped_loss(logp, drawn, advantage[:, None], filled, clip)
    return loss if reference is None else loss + beta * mean_of_filled(divergence(logp, reference), filled)


def ndcg(slates: I64, target: I64) -> F64:
    """(B, G, K) lists, (B,) the column of what was taken -> (B, G): 1 / log2(slot + 1), slots from 1; 0 where it lacks.

    >>> ndcg(np.array([[[4, 2], [2, 4], [0, 1]]]), np.array([4])).round(3)
    array([[1.   , 0.631, 0.   ]])
    """
    out: F64 = slot_gains(slates, target).sum(axis=2)
    return out


def slot_gains(slates: I64, target: I64) -> F64:
    """(B, G, K), (B,) -> (B, G, K) what each slot adds to :func:`ndcg`."""
    found = (slates == target[:, None, None]) & (slates >= 0)
    out: F64 = found / np.log2(np.arange(slates.shape[2]) + 2.0)
    return out


class Grpo:
    """The learner. ``start`` are the arrays of a supervised checkpoint: it begins there, and ``beta`` holds it there."""

    def __init__(self, config: GrpoConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._actor = Learned(config.network, config.pace, config.seed, start)
        self._model = Learned(config.network, config.pace, config.seed + 1)
        _say_nothing(self._model)
        self._reference = network_of(config.network, config.seed)
        from_arrays(self._reference, to_arrays(self._actor.network))
        self._reference.requires_grad_(False).eval()
        self._draws = 0

    @property
    def policy(self) -> NetworkPolicy:
        return NetworkPolicy(self.config.network, to_arrays(self._actor.network), "grpo")

    def update(self, batch: Batch) -> Mapping[str, float]:
        """The model learns what was shown, and after ``wait`` the policy what the model says of lists of its own."""
        config, model_loss = self.config, self._learn_model(batch)
        if self._model.updates <= config.wait:
            return {"model_loss": model_loss}
        slots, least = config.slots or batch.action.shape[1], config.least * config.scale
        with torch.no_grad():
            net = self._model.network
            worth = net.score(net.user(batch.state), tensor_items(batch.items)).double().numpy() * config.scale
        told = self.learn(batch.state, batch.items, batch.mask, lambda slates: discounted(worth, slates), slots, least=least)
        return {**told, "model_loss": model_loss}

    def learn(
        self,
        state: State,
        items: F32,
        mask: Bool,
        reward: ListReward,
        slots: int | None = None,
        taken: I64 | None = None,
        least: float = 0.0,
    ) -> Mapping[str, float]:
        """``passes`` steps on one group of lists for each state: State of B, (B, C, D), (B, C).

        Lists have ``slots`` items, or as many as the config says. ``taken`` (B,) is the column that the log has, which
        ``imitate`` is about; without it nothing is imitated. ``least``, in units of the reward, is as in
        :func:`group_advantage`. Raises ConfigError where nobody says how many slots, ShapeError
        for a ``reward`` that does not tell one number a list, and for a ``taken`` that is no column of what is offered.
        """
        config, k = self.config, slots or self.config.slots
        if k < 1:
            raise ConfigError("Grpo.learn: how many slots lists have must be said, here or as GrpoConfig.slots")
        if taken is not None and not _offered(mask, taken):
            raise ShapeError(
                f"Grpo.learn: taken must be (B,) columns where mask is True, B {len(mask)} and C {mask.shape[1]}, got shape "
                f"{taken.shape}, {taken[:8]}; leave rows out whose item is not offered"
            )
        slates, drawn = self._draw(state, items, mask, k)
        worth = reward(slates)
        if worth.shape != slates.shape[:2]:
            raise ShapeError(f"Grpo.learn: reward must tell one number a list, shape {slates.shape[:2]}, got {worth.shape}")
        action, flat = slates.reshape(-1, k), np.repeat(mask, config.group, axis=0)
        allowed, filled = replay_allowed(flat, action), torch.from_numpy(action >= 0)
        advantage, odds = torch.from_numpy(group_advantage(worth, least).ravel()), torch.from_numpy(np.log(drawn))
        reference = None
        if config.beta:
            with torch.no_grad():
                reference = log_probs(self._scores(self._reference, state, items), allowed, action, config.explore)
        for _ in range(config.passes):
            with self._actor.learning():
                scores = self._scores(self._actor.network, state, items)
            logp = log_probs(scores, allowed, action, config.explore)
            loss = grpo_loss(logp, odds, reference, advantage, filled, config.clip, config.beta)
            if config.imitate and taken is not None:
                own = scores[:: config.group].masked_fill(torch.from_numpy(~mask), -1e9)
                loss = loss + config.imitate * functional.cross_entropy(own, torch.from_numpy(taken))
            self._actor.step(loss, limit=1.0)
        alike = float((np.ptp(worth, axis=1) == 0).mean()) if len(worth) else 1.0
        return {"reward": float(worth.mean()) if worth.size else 0.0, "alike": alike, "loss": float(loss.detach())}

    def _scores(self, network: AnyNetwork, state: State, items: F32) -> Tensor:
        """(B * G, C): every row G times."""
        return network.score(network.user(state), tensor_items(items)).repeat_interleave(self.config.group, dim=0)

    def _draw(self, state: State, items: F32, mask: Bool, k: int) -> tuple[I64, F64]:
        """(B, G, K) lists, and (B * G, K) the chance of each pick."""
        with torch.no_grad():
            scores = self._scores(self._actor.network, state, items).numpy()
        rng = derive(self.config.seed, "grpo", str(self._draws))
        self._draws += 1
        flat = np.repeat(mask, self.config.group, axis=0)
        # the best first, so that the same numbers draw the same items in whatever order these are offered
        order = np.argsort(-np.where(flat, scores, -np.inf), axis=1, kind="stable")
        ranked, there = np.take_along_axis(scores, order, axis=1), np.take_along_axis(flat, order, axis=1)
        picks, odds = sample_slates(ranked, there, k, self.config.explore, rng.random((len(scores), k)))
        slates = np.where(picks >= 0, np.take_along_axis(order, np.maximum(picks, 0), axis=1), -1)
        return slates.reshape(len(mask), self.config.group, k), odds

    def _learn_model(self, batch: Batch) -> float:
        """A slot's reward and its share of what came after, as the value of the state that follows tells it."""
        network, slow, scale = self._model.network, self._model.target, self.config.scale
        with torch.no_grad():
            after = slow.value(slow.user(batch.next_state)).double().numpy() * scale
        target = torch.from_numpy((slot_targets(batch, after) / scale).astype(np.float32))
        filled, chosen = torch.from_numpy(batch.action >= 0), torch.from_numpy(np.maximum(batch.action, 0))
        with self._model.learning():
            user = network.user(batch.state)
            told = network.score(user, tensor_items(batch.items)).gather(1, chosen)
            value = network.value(user)[:, None]
        slots, _ = slot_loss(told, target, filled, False)
        whole, _ = slot_loss(value, target.sum(dim=1, keepdim=True), torch.ones_like(value) > 0, False)
        return self._model.step(slots + whole)

    def state_dict(self) -> Arrays:
        held = {**self._actor.state_dict("actor."), **self._model.state_dict("model.")}
        return {**held, **to_arrays(self._reference, "reference."), "draws": np.array([self._draws])}

    def load_state_dict(self, state: Arrays) -> None:
        self._actor.load_state_dict(state, "actor.")
        self._model.load_state_dict(state, "model.")
        from_arrays(self._reference, state, "reference.")
        self._draws = int(number(state, "draws"))


def _offered(mask: Bool, taken: I64) -> bool:
    """Whether (B,) ``taken`` are columns of what (B, C) ``mask`` offers."""
    if taken.shape != mask.shape[:1] or not ((taken >= 0) & (taken < mask.shape[1])).all():
        return False
    return bool(mask[np.arange(len(mask)), taken].all())


def _say_nothing(model: Learned) -> None:
    """A network and its copy say 0 of every item and state: what knows nothing moves nobody."""
    with torch.no_grad():
        for network in (model.network, model.target):
            for last in (network.item, network.appeal, network.worth):
                for weight in last.parameters():
                    weight.zero_()


def discounted(worth: F64, slates: I64) -> F64:
    """(B, C) what items are worth, (B, G, K) lists -> (B, G) the sum over slots, each over log2(slot + 1), slots from 1."""
    rows = np.arange(len(worth))[:, None, None]
    told = np.where(slates >= 0, worth[rows, np.maximum(slates, 0)], 0.0)
    out: F64 = (told / np.log2(np.arange(slates.shape[2]) + 2.0)).sum(axis=2)
    return out
