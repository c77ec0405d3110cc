"""Q-learning with a network: what showing an item is worth in the long run, over any number of candidates and slots.

    Q(s, a) <- r + gamma max over a' of Q(s', a')

DQN (Mnih et al., Nature 2015), with options that Rainbow joins (Hessel et al., AAAI 2018): *double* (van Hasselt et al.,
AAAI 2016: the network chooses a', its slow copy judges it), *dueling* (Wang et al., ICML 2016, eq. 9: the value of the state,
and what an item adds to it less the mean over what is offered), n-step returns and prioritised replay (both come with the
batch: ``simulation.Replay``). *sarsa* is expected SARSA (van Seijen et al., 2009): a' is what the policy would draw,
exploration included, and not the best. *conservative* is CQL (Kumar et al., NeurIPS 2020, eq. 4): what the log lacks is held
down,

    loss + conservative * (log sum over a of exp Q(s, a) - Q(s, a of the log))

which makes it fit for logs that nobody can add to. Items are vectors, not indices: the network has no output per item, and an
item of tomorrow has a value at once.

Slates: a slate of K is worth the sum of its items (Sunehag et al., "Value-Decomposition Networks", AAMAS 2018), so that each
slot learns

    Q(s, a_k) <- r_k + gamma / K * sum of the K best Q(s', .)

K being the slots that were filled: the next slate is reckoned as long as this one.

What an item does to the future is then seen in a K-th part: the other parts go to what stood beside it. *together*, the sum
learns as one (their eq. 1 in their loss), and each item is credited with all that it does, at the price of more noise:

    sum of Q(s, a_k) <- sum of r_k + gamma * sum of the K best Q(s', .)

SlateQ is better where one item is taken and the others are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from longgame.algorithms.critic import AnyNetwork, AnyNetworkConfig, Learned, Pace
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.algorithms.robust import pushed
from longgame.algorithms.slots import slot_loss, slot_targets
from longgame.algorithms.towers import Towers
from longgame.arrays import Batch
from longgame.artefacts import Arrays
from longgame.errors import ConfigError
from longgame.networks import tensor, tensor_items, to_arrays
from longgame.slate import Exploration, pick_probabilities
from longgame.types import F32, F64, I64, Bool


@dataclass(frozen=True)
class DqnConfig:
    """How Q-learning learns."""

    network: AnyNetworkConfig
    pace: Pace = field(default_factory=Pace)
    double: bool = True
    """Whether the network chooses the next items and its slow copy judges them."""
    dueling: bool = True
    """Whether the value of the state is learned apart from what items add to it."""
    together: bool = False
    """Whether the items of a slate learn from one error, that of their sum, instead of each from its own."""
    sarsa: Exploration | None = None
    """The exploration under which the next items are drawn; None: they are the best."""
    conservative: float = 0.0
    """Weight of CQL's term, 0 or more."""
    push: float = 0.0
    """Share of its length that a user's vector is pushed to where the loss rises, 0 or more: half of what is learned is learned
    there (``robust.pushed``)."""
    scale: float = 1.0
    """A unit of the network's values in units of the reward, above 0: about as large as a return."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.scale > 0 or min(self.conservative, self.push) < 0:
            raise ConfigError(f"DqnConfig: scale must be above 0, conservative and push not below 0, got {self}")


def values(network: AnyNetwork, user: Tensor, items: Tensor, mask: Tensor, dueling: bool) -> Tensor:
    """(B, H), (B, C, D) or (C, D), (B, C) -> Q (B, C). Dueling: Wang et al., eq. 9, the mean being over the mask."""
    adds = network.score(user, items)
    if not dueling:
        return adds
    mean = (adds * mask).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True).clamp(min=1)
    return network.value(user)[:, None] + adds - mean


def values_of(network: AnyNetwork, user: Tensor, offered: Offered, columns: Tensor, dueling: bool) -> Tensor:
    """:func:`values` of a few items, columns (B, K), -1 in an empty slot -> (B, K), the others scored only where it must be."""
    chosen = offered.take(columns)
    if not dueling:
        return network.score(user, chosen)
    if isinstance(network, Towers):  # what an item adds is linear in its vector: the mean over items is that of their mean
        adds = network.score(user, torch.cat([chosen, offered.mean()[:, None]], dim=1))
        return network.value(user)[:, None] + adds[:, :-1] - adds[:, -1:]
    return values(network, user, offered.items, offered.every, True).gather(1, columns.clamp(min=0))


def conservative(q: Tensor, mask: Tensor | None, action: Tensor) -> Tensor:
    """CQL's term (Kumar et al., eq. 4), a mean: (B, C) values, (B, C), (B, K) columns of the log, -1 in an empty slot.

    ``mask`` None: everything is offered. The gap to the logarithm of the sum is minus the logarithm of a softmax.
    """
    open_ = q if mask is None else q.masked_fill(~mask, -torch.inf)
    gap = -open_.log_softmax(dim=1).gather(1, action.clamp(min=0))
    filled = action >= 0
    return torch.where(filled, gap, 0.0).sum() / filled.sum().clamp(min=1)


class Offered:
    """What is offered to B users, as tensors."""

    def __init__(self, items: F32, mask: Bool) -> None:
        self.items = tensor_items(items)
        whole = bool((mask[0] if mask.strides[0] == 0 else mask).all())
        self.some = None if whole else tensor(mask)
        """(B, C) False on padding; None where there is none"""
        self.mask = mask

    @property
    def every(self) -> Tensor:
        """(B, C) the mask."""
        return torch.ones(self.mask.shape, dtype=torch.bool) if self.some is None else self.some

    def take(self, columns: Tensor) -> Tensor:
        """(B, K) columns, -1 in an empty slot -> (B, K, D) vectors."""
        chosen = columns.clamp(min=0)
        return self.items[chosen] if self.items.dim() == 2 else self.items[torch.arange(len(chosen))[:, None], chosen]

    def mean(self) -> Tensor:
        """(B, D) over what is offered to each."""
        b = len(self.mask)
        if self.some is None:
            return self.items.mean(dim=-2).expand(b, -1)
        weight = self.some / self.some.sum(dim=1, keepdim=True).clamp(min=1)
        return weight @ self.items if self.items.dim() == 2 else (weight[:, None] @ self.items)[:, 0]


class Dqn:
    """The learner. ``start`` are the arrays of a supervised checkpoint of the same network.

    Its policy's log-preferences are values, in units of the scale: the temperature of the draw says how much a value counts.
    What dueling takes off is the same for all items of a row and moves no draw, so it is left out.
    """

    def __init__(self, config: DqnConfig, start: Arrays | None = None) -> None:
        self.config = config
        self._learned = Learned(config.network, config.pace, config.seed, start)

    @property
    def policy(self) -> NetworkPolicy:
        name = "cql" if self.config.conservative else "sarsa" if self.config.sarsa else "dqn"
        return NetworkPolicy(self.config.network, to_arrays(self._learned.target), name)

    def update(self, batch: Batch) -> Mapping[str, float]:
        config, network = self.config, self._learned.network
        target = torch.from_numpy((self._targets(batch) / config.scale).astype(np.float32))
        action, offered = torch.from_numpy(batch.action), Offered(batch.items, batch.mask)
        with self._learned.learning():
            user = network.user(batch.state)
            told, held = self._told(user, offered, action)
            loss, errors = slot_loss(told, target, action >= 0, config.together)
            every = loss + config.conservative * held
            if config.push:
                again, again_held = self._told(pushed(user, every, config.push), offered, action)
                worse = slot_loss(again, target, action >= 0, config.together)[0] + config.conservative * again_held
                every = (every + worse) / 2
        self.errors: F64 = errors.double().numpy()
        self._learned.step(every)
        worth = (told * (action >= 0)).sum(dim=1) if config.together else told
        return {
            "value_loss": float(loss.detach()),
            "conservative": float(held.detach()),
            "value": float(worth.detach().mean()),
        }

    def _told(self, user: Tensor, offered: Offered, action: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K) what the network says of the slots, and CQL's term of what it says of all."""
        network, config = self._learned.network, self.config
        if not config.conservative:
            return values_of(network, user, offered, action, config.dueling), torch.zeros(())
        q = values(network, user, offered.items, offered.every, config.dueling)
        return q.gather(1, action.clamp(min=0)), conservative(q, offered.some, action)

    @torch.no_grad()
    def _targets(self, batch: Batch) -> F64:
        """(B, K) reward of each slot and its share of what comes after; 0 in an empty slot.

        The next slate is reckoned as long as the row's own, so that no value grows by the length of slates alone.
        """
        slots = (batch.action >= 0).sum(axis=1)
        after = self._expected(batch, slots) if self.config.sarsa is not None else self._best(batch, slots)
        return slot_targets(batch, after * self.config.scale)

    def _best(self, batch: Batch, slots: I64) -> F64:
        """(B,) what the best next slate of (B,) ``slots`` is worth: the sum over its items, of as many as are offered."""
        config, slow = self.config, self._learned.target
        chooser = self._learned.network if config.double else slow
        offered = Offered(batch.next_items, batch.next_mask)
        user = chooser.user(batch.next_state)
        adds = chooser.score(user, offered.items)  # what dueling puts beside it is the same for all items of a row
        if offered.some is not None:
            adds = adds.masked_fill(~offered.some, -torch.inf)
        take = max(1, min(int(slots.max(initial=1)), adds.shape[1]))
        if take == 1:  # numpy's is ten times as fast as torch's
            best = torch.from_numpy(adds.numpy().argmax(axis=1)[:, None])
        else:
            best = adds.topk(take, dim=1).indices
        judge = slow.user(batch.next_state) if config.double else user
        worth = values_of(slow, judge, offered, best, config.dueling).double().numpy()
        counts = np.arange(take) < slots[:, None]
        if offered.some is not None:
            counts &= offered.some.gather(1, best).numpy()
        out: F64 = np.where(counts, worth, 0.0).sum(axis=1)
        return out

    def _expected(self, batch: Batch, slots: I64) -> F64:
        """(B,) what the next slate of (B,) ``slots`` is worth that the policy would draw, exploration included."""
        config, offered = self.config, Offered(batch.next_items, batch.next_mask)
        judged, choosing = (
            values(net, net.user(batch.next_state), offered.items, offered.every, config.dueling).double().numpy()
            for net in (self._learned.target, self._learned.network if config.double else self._learned.target)
        )
        assert config.sarsa is not None
        shown = expected_slates(choosing, batch.next_mask, slots, config.sarsa)
        out: F64 = (shown * np.where(batch.next_mask, judged, 0.0)).sum(axis=1)
        return out

    @property
    def learned(self) -> Learned:
        """The network in training and its slow copy."""
        return self._learned

    def state_dict(self, prefix: str = "") -> Arrays:
        return self._learned.state_dict(prefix)

    def load_state_dict(self, state: Arrays, prefix: str = "") -> None:
        self._learned.load_state_dict(state, prefix)


def expected_slates(scores: F64, mask: Bool, slots: I64, explore: Exploration) -> F64:
    """(B, C) the chance that each candidate is in a slate of (B,) ``slots`` that is drawn without replacement.

    Exact for one slot, at a temperature towards 0 and for uniform draws. Between, a slot is drawn as if what is gone were gone
    in its share (a mean field): no sampling, so that a target is no noise.
    """
    return expected_draws(scores, mask, slots, explore)[0]


def expected_draws(scores: F64, mask: Bool, slots: I64, explore: Exploration) -> tuple[F64, F64]:
    """(B, C) :func:`expected_slates`, and (B,) in nats how undecided the draw is: its slots' entropies, added up.

    Each slot's is of its own draw in the same mean field: at most the logarithm of what is offered, exact for one slot.
    """
    shown, spread = np.zeros(scores.shape), np.zeros(len(scores))
    for slot in range(int(slots.max(initial=0))):
        free = np.clip(1.0 - shown, 0.0, 1.0)
        open_ = mask & (free > 1e-9)
        left = np.where(open_, scores + explore.temperature * np.log(np.maximum(free, 1e-300)), 0.0)
        chance = pick_probabilities(left, open_, explore)
        shown += np.where((slot < slots)[:, None], np.minimum(chance, free), 0.0)
        spread -= np.where(slot < slots, (chance * np.log(np.maximum(chance, 1e-300))).sum(axis=1), 0.0)
    return shown, spread
