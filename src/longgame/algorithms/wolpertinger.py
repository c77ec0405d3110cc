"""DDPG and TD3 over items: an actor says what it wants, the nearest of what is offered are looked at, a critic takes the best.

Dulac-Arnold et al., "Deep Reinforcement Learning in Large Discrete Action Spaces", 2015 (Wolpertinger): the actor names a point
of item space, its proto-item; the nearest items there are found, and the critic's best of them is the action. The actor learns
by the deterministic policy gradient at its proto-item (Lillicrap et al., "Continuous Control with Deep Reinforcement Learning",
ICLR 2016, eq. 6), the critic from the items that were shown:

    actor   up along Q(s, proto(s))
    Q(s, a) <- r + gamma Q'(s', the best by Q' of those nearest to proto'(s'))

TD3 (Fujimoto et al., "Addressing Function Approximation Error in Actor-Critic Methods", ICML 2018) has two critics and believes
the smaller one, moves the actor only every ``delay``-th update, and smooths the target by noise on proto'(s'). DDPG is the same
with one critic, a delay of 1 and no noise.

*The index is a floor above*: what an algorithm is offered are candidates already, so near ones are looked for among those, and
``near`` is the share of them that the critic sees. :meth:`WolpertingerPolicy.query` hands out the proto-item: the index's own
query (``retrieval``), so that with it the candidates of a catalogue are the actor's.

Deviations, each because it moves the score:

- *Near* is a large inner product, which is what the index looks for; for vectors of one length that is the Euclidean order.
- The proto-item has the direction that the network asks for (its ``query``: what is multiplied with an item's vector in a
  supervised score) and the root mean square length of what is offered, so that it lies among items. Lillicrap has a tanh.
  It begins as the supervised network's query.
- *Slates*: the K best of those near by Q, and a slate is worth the sum of its items, as in ``dqn``. Items that are not near
  come behind all that are, in the order of their nearness.
- The critic's own value of the state is added to what it says of an item, not dueling: the mean over what is offered would
  depend on the proto-item.
- The policy explores by ``slate``'s draw and not by noise on the proto-item: its probability is known.
- n-step returns where the batch has them, uncorrected for who decided.
- The slow copies of the critics follow at every update. In TD3 they move with the actor, every ``delay``-th.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from longgame.algorithms.critic import AnyNetwork, AnyNetworkConfig, Learned, Pace, network_config, network_of, number
from longgame.algorithms.dqn import Offered
from longgame.algorithms.slots import slot_loss, slot_targets
from longgame.arrays import Batch, State
from longgame.artefacts import Arrays, digest
from longgame.errors import ConfigError
from longgame.networks import from_arrays, to_arrays
from longgame.rng import derive
from longgame.types import F32, F64, I64, Bool


@dataclass(frozen=True)
class WolpertingerConfig:
    """How the actor and its critics learn. As it is, TD3; :meth:`ddpg` is the older."""

    network: AnyNetworkConfig
    """Of the actor; the critics have the same size."""
    pace: Pace = field(default_factory=Pace)
    """Of the critics."""
    actor: Pace = field(default_factory=Pace)
    near: float = 0.5
    """Share of the candidates that the critic looks at, in (0, 1]; at least as many as a slate has slots."""
    twins: bool = True
    """Whether there are two critics, of which the smaller is believed."""
    delay: int = 2
    """Updates of the critics for one of the actor, 1 or more."""
    noise: float = 0.2
    """Deviation of what is added to the proto-item in targets, in parts of its length; cut off at 2.5 deviations. 0: none."""
    together: bool = False
    """Whether the items of a slate learn from one error, that of their sum, instead of each from its own."""
    wait: int = 0
    """Updates of the critics before the actor's first, 0 or more."""
    scale: float = 1.0
    """A unit of the critics' values in units of the reward, above 0: about as large as a return."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.near <= 1 or self.delay < 1 or min(self.noise, self.wait) < 0 or not self.scale > 0:
            raise ConfigError(
                "WolpertingerConfig: near must lie in (0, 1], delay be 1 or more, noise and wait not be below 0 and scale be "
                f"above 0, got {self}"
            )

    @staticmethod
    def ddpg(network: AnyNetworkConfig, **more: Any) -> WolpertingerConfig:
        """One critic, an actor that moves with it, and targets without noise."""
        return WolpertingerConfig(network, **{"twins": False, "delay": 1, "noise": 0.0, **more})

    @property
    def name(self) -> str:
        return "td3" if self.twins else "ddpg"


def proto_items(query: Tensor, items: Tensor, mask: Tensor) -> Tensor:
    """(B, D), (B, C, D) or (C, D), (B, C) -> (B, D) in the direction of the first, as long as what is offered."""
    square = (items**2).sum(dim=-1).expand(mask.shape)
    length = (torch.where(mask, square, 0.0).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).sqrt()
    out: Tensor = query / query.norm(dim=1, keepdim=True).clamp(min=1e-8) * length[:, None]
    return out


def nearest(proto: F32, items: F32, mask: Bool, count: I64) -> tuple[Bool, F32]:
    """(B, D), (B, C, D), (B, C), (B,) -> (B, C) the ``count`` with the largest inner products, or all there are, and those."""
    product = (items @ proto[:, :, None])[:, :, 0]
    order = np.argsort(np.argsort(-np.where(mask, product, -np.inf), axis=1, kind="stable"), axis=1, kind="stable")
    return (order < count[:, None]) & mask, product


def refined(q: F32, near: Bool, product: F32, mask: Bool) -> F32:
    """(B, C) each -> (B, C) scores: values of those near, and behind all of these the others by their nearness."""
    least = np.where(near, q, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    best = np.where(mask & ~near, product, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    some = np.isfinite(least) & np.isfinite(best)
    behind = np.where(some, least, 0.0) - 1.0 - (np.where(some, best, 0.0) - product)
    out: F32 = np.where(near, q, np.where(mask, behind, 0.0)).astype(np.float32)
    return out


class WolpertingerPolicy:
    """Scores whose K best are the slate: drawn at a low temperature, that is what is shown."""

    def __init__(self, about: Mapping[str, Any], arrays: Arrays) -> None:
        self._about = dict(about)
        config = network_config(about["network"])
        self._actor, self._critic = network_of(config), network_of(config)
        from_arrays(self._actor, arrays, "actor.")
        from_arrays(self._critic, arrays, "critic.")
        self._actor.eval()
        self._critic.eval()
        looks = np.array([about["near"], about["slots"]], np.float64)  # another look is another policy
        self.version = f"{about['name']}-{digest({**self.state_dict(), 'looks': looks})}"

    @torch.inference_mode()
    def query(self, state: State) -> F32:
        """State of B -> (B, D) of length 1: what an index is asked for, so that the candidates are the actor's own."""
        asked = self._actor.query(self._actor.user(state))
        out: F32 = (asked / asked.norm(dim=1, keepdim=True).clamp(min=1e-8)).numpy()
        return out

    @torch.inference_mode()
    def score(self, state: State, items: F32, mask: Bool) -> F32:
        offered = Offered(items, mask)
        q = _worth(self._critic, self._critic.user(state), offered.items).numpy()
        near, product = nearest(self.query(state), items, mask, looked_at(mask, self._about["near"], self._about["slots"]))
        return refined(q, near, product, mask)

    def state_dict(self) -> Arrays:
        return {**to_arrays(self._actor, "actor."), **to_arrays(self._critic, "critic.")}

    def about(self) -> Mapping[str, Any]:
        return {"kind": "wolpertinger", **self._about}


def looked_at(mask: Bool, near: float, slots: I64 | int) -> I64:
    """(B, C), the share and (B,) or one number of slots -> (B,) how many the critic looks at, more than are there or fewer."""
    out: I64 = np.maximum(np.ceil(near * mask.sum(axis=1)), slots).astype(np.int64)
    return out


class Wolpertinger:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network: the actor begins there."""

    def __init__(self, config: WolpertingerConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._actor = Learned(config.network, config.actor, config.seed, start)
        self._critics = tuple(Learned(config.network, config.pace, config.seed + 1 + n) for n in range(1 + config.twins))
        self._slots = 1
        """The longest slate that was learned from: the policy looks at no fewer."""

    @property
    def policy(self) -> WolpertingerPolicy:
        config = self.config
        about = {"name": config.name, "network": asdict(config.network), "near": config.near, "slots": self._slots}
        learned = {**to_arrays(self._actor.network, "actor."), **to_arrays(self._critics[0].network, "critic.")}
        return WolpertingerPolicy(about, learned)

    def update(self, batch: Batch) -> Mapping[str, float]:
        config, offered = self.config, Offered(batch.items, batch.mask)
        slots = (batch.action >= 0).sum(axis=1)
        self._slots = max(self._slots, int(slots.max(initial=1)))
        target = torch.from_numpy((self._targets(batch, slots) / config.scale).astype(np.float32))
        action = torch.from_numpy(batch.action)
        losses = []
        for critic in self._critics:
            with critic.learning():
                told = _worth(critic.network, critic.network.user(batch.state), offered.take(action))
            loss, _ = slot_loss(told, target, action >= 0, config.together)
            losses.append(critic.step(loss))
        said = {"value_loss": losses[0], "value": float(told.detach().mean()) * config.scale}
        done = self._critics[0].updates
        if done > config.wait and done % config.delay == 0:
            said["wanted"] = self._move(batch, offered)
        return said

    def _move(self, batch: Batch, offered: Offered) -> float:
        """A step of the actor. What the critic says of its proto-items."""
        critic, mask = self._critics[0].network, offered.every
        with torch.no_grad():
            judged = critic.user(batch.state)
        with self._actor.learning():
            asked = self._actor.network.query(self._actor.network.user(batch.state))
        worth = _worth(critic, judged, proto_items(asked, offered.items, mask)[:, None])[:, 0]
        some = mask.any(dim=1)
        return -self._actor.step(-torch.where(some, worth, 0.0).sum() / some.sum().clamp(min=1)) * self.config.scale

    @torch.no_grad()
    def _targets(self, batch: Batch, slots: I64) -> F64:
        """(B, K) reward of each slot and its share of what comes after; 0 in an empty slot."""
        config, offered = self.config, Offered(batch.next_items, batch.next_mask)
        actor, state, mask = self._actor.target, batch.next_state, batch.next_mask
        proto = proto_items(actor.query(actor.user(state)), offered.items, offered.every).numpy()
        if config.noise:
            drawn = derive(config.seed, "wolpertinger", str(self._critics[0].updates)).standard_normal(proto.shape)
            length = np.linalg.norm(proto, axis=1, keepdims=True) / proto.shape[1] ** 0.5
            proto = (proto + config.noise * length * np.clip(drawn, -2.5, 2.5)).astype(np.float32)
        told = [_worth(c.target, c.target.user(state), offered.items).numpy() for c in self._critics]
        near, product = nearest(proto, batch.next_items, mask, looked_at(mask, config.near, slots))
        order = np.argsort(-np.where(mask, refined(told[0], near, product, mask), -np.inf), axis=1, kind="stable")
        take = max(1, min(int(slots.max(initial=1)), mask.shape[1]))
        best = order[:, :take]
        least = np.take_along_axis(np.min(told, axis=0), best, axis=1).astype(np.float64)
        counts = (np.arange(take) < slots[:, None]) & np.take_along_axis(mask, best, axis=1)
        return slot_targets(batch, np.where(counts, least, 0.0).sum(axis=1) * config.scale)

    def state_dict(self) -> Arrays:
        critics = {k: v for n, critic in enumerate(self._critics) for k, v in critic.state_dict(f"critic{n}.").items()}
        return {**self._actor.state_dict("actor."), **critics, "slots": np.array([self._slots])}

    def load_state_dict(self, state: Arrays) -> None:
        self._actor.load_state_dict(state, "actor.")
        for n, critic in enumerate(self._critics):
            critic.load_state_dict(state, f"critic{n}.")
        self._slots = int(number(state, "slots"))


def _worth(critic: AnyNetwork, user: Tensor, items: Tensor) -> Tensor:
    """(B, H), (B, C, D) or (C, D) -> (B, C) what items are worth in the state, its own value included."""
    return critic.score(user, items) + critic.value(user)[:, None]
