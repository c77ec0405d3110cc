"""A log without decisions, and a list-wise measure: a supervised network is moved towards lists that hold what came next.

Policy gradient on whole lists: for a state of the log, lists of K items are drawn from the network's softmax over what the
user has *not had yet* (Plackett and Luce, without replacement). A list brings DCG, 1 / log2(place + 1) where the item that
came next stands, else nothing. What a slot answers for is what it and the slots below it bring, less the same of the other
lists drawn for that state (a group in place of a critic: Kool, van Hoof and Welling, "Buy 4 REINFORCE Samples, Get a Baseline
for Free!", 2019; Shao et al., "DeepSeekMath", 2024, section 4.1.1), in standard deviations over the batch.

Beside it, with weight ``imitate``, stands the log-chance of what came next over the same items: most lists bring nothing and so
tell nothing. ``lists = 0`` leaves that alone: the control that tells what reinforcement adds to more training.

A log tells what users took, and not whether they would have taken it a step earlier or from a list: the reward is a hit in
hindsight, the same that ``evaluation.ranking`` counts. Items keep their vectors; only the network moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from longgame.algorithms.actor import list_log_probs
from longgame.algorithms.critic import network_of
from longgame.algorithms.grpo import slot_gains
from longgame.algorithms.reinforce import NetworkPolicy
from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.errors import ConfigError
from longgame.models.descent import Descent
from longgame.models.windows import Sequences, sequences
from longgame.networks import NetworkConfig, UserNetwork, from_arrays, to_arrays
from longgame.rng import derive
from longgame.shapes import check
from longgame.types import F32, I64, Bool

Watch = Callable[[int, NetworkPolicy], None]
"""Told the number of updates and the policy so far."""


@dataclass(frozen=True)
class ListConfig:
    """How a network learns from lists of its own."""

    updates: int = 300
    """Steps, 1 or more."""
    rate: float = 3e-4
    """Of AdamW, above 0."""
    decay: float = 0.01
    """Weight decay, 0 or more."""
    batch: int = 32
    """Windows of histories in a step, 1 or more."""
    slots: int = 10
    """K, of the lists, 1 or more."""
    group: int = 16
    """Lists drawn for a state, 2 or more."""
    states: int = 256
    """States of a step that lists are drawn for, at most."""
    lists: float = 0.3
    """Weight of what lists bring, 0 or more. 0: nothing is drawn."""
    imitate: float = 1.0
    """Weight of the log-chance of what came next, 0 or more."""
    unseen: bool = True
    """Whether the policy is over what the user has not had yet, as it is when served. False: over the whole catalogue, as a
    supervised network is trained; lists may then hold what is never shown."""
    average: float = 0.99
    """Share of the running mean of the weights that a step keeps, in [0, 1): the mean is the policy."""
    look: int = 0
    """Updates between two calls of the watch; 0: none."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.updates, self.batch, self.slots, self.states) < 1 or self.group < 2:
            raise ConfigError(f"ListConfig: updates, batch, slots and states must be 1 or more, group 2 or more, got {self}")
        if not self.rate > 0 or min(self.decay, self.lists, self.imitate, self.look) < 0 or not 0 <= self.average < 1:
            raise ConfigError(
                "ListConfig: rate must be above 0, average lie in [0, 1), decay, lists, imitate and look not be below 0, "
                f"got {self}"
            )
        if not self.lists + self.imitate > 0:
            raise ConfigError(f"ListConfig: lists and imitate are both 0, so nothing would be learned; got {self}")


def learn_lists(
    config: ListConfig, network: NetworkConfig, start: Arrays, vectors: F32, log: Interactions, watch: Watch | None = None
) -> NetworkPolicy:
    """The policy that a supervised network (its config and arrays) becomes on ``log``, whose items have ``vectors`` (I, D).

    The same arguments give the same policy. Raises ConfigError where no event of the log has another before it, where
    lists are to have more slots than there are items, and for a network that reads a context.
    """
    check({"I": len(log.items), "D": network.width}, ("vectors", vectors, "I D"))
    if network.context:
        raise ConfigError(
            f"learn_lists: a log without decisions tells no context, and network.context is {network.context}; take the "
            "network of a sequence model (SequenceConfig.network)"
        )
    if config.lists and config.slots >= len(vectors):
        raise ConfigError(f"ListConfig.slots: must be below the {len(vectors)} items of the log, got {config.slots}")
    made = network_of(network)
    assert isinstance(made, UserNetwork)
    from_arrays(made, start)
    descent = Descent(made.train(), config.rate, config.decay, config.average)
    items, rng = torch.from_numpy(vectors), derive(config.seed, "lists")
    # windows come from a generator of their own: with and without lists, they are the same
    windows = derive(config.seed, "lists", "windows")
    stream = _states(sequences(log), network.steps, config.batch, len(vectors), windows)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(derive(config.seed, "lists", "dropout").integers(2**62)))
        for number in range(1, config.updates + 1):
            before, told, seen, target = next(stream)
            loss = _loss(config, descent.network, items, (before, told, seen, target), rng)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation lacks it
            descent.move()
            if watch is not None and config.look and number % config.look == 0:
                watch(number, NetworkPolicy(network, to_arrays(descent.mean), "lists"))
    return NetworkPolicy(network, to_arrays(descent.mean), "lists")


def _loss(
    config: ListConfig, network: UserNetwork, items: Tensor, batch: tuple[I64, Bool, Bool, I64], rng: np.random.Generator
) -> Tensor:
    """Windows (B, T), which of their states are told (B, T), what those n had (n, I), what they took (n,) -> ()."""
    before, told, seen, target = batch
    history = torch.cat([items, items.new_zeros(1, items.shape[1])])[torch.from_numpy(before)]
    user = network.steps(history, torch.from_numpy(before >= 0), torch.zeros(len(before), 0))[torch.from_numpy(told)]
    scores = network.score(user, items)
    if config.unseen:
        scores = scores.masked_fill(torch.from_numpy(seen), -1e9)
    logp, took = functional.log_softmax(scores, dim=1), torch.from_numpy(target)
    loss = -config.imitate * logp.gather(1, took[:, None]).mean()
    if not config.lists:
        return loss
    some = torch.from_numpy(rng.permutation(len(target))[: config.states])
    logp, took = logp[some], took[some]
    lists = _drawn(logp.detach(), config.group, config.slots, rng)
    gains = torch.from_numpy(slot_gains(lists.numpy(), took.numpy())).float()
    return loss + config.lists * list_loss(list_log_probs(logp, lists), gains)


def list_loss(logp: Tensor, gains: Tensor) -> Tensor:
    """Minus what is to be raised: (n, G, K) log-chances of picks and what each slot brought, for G lists of n states -> ().

    A slot's advantage is its own gain and those below it, less the mean of the other lists of its state, over the deviation
    of all of the batch.
    """
    below = gains.flip(2).cumsum(2).flip(2)
    group = below.shape[1]
    apart = (below - below.mean(dim=1, keepdim=True)) * (group / (group - 1))  # of the others: itself is in the mean
    advantage = apart / (apart.std(correction=0) + 1e-6)
    return -(logp * advantage).sum(dim=2).mean()


def _drawn(logp: Tensor, group: int, slots: int, rng: np.random.Generator) -> Tensor:
    """(n, I) -> (n, G, K): the largest of log-chances with Gumbel noise are Plackett and Luce's (Kool et al., ICML 2019)."""
    noise = rng.gumbel(size=(len(logp), group, logp.shape[1])).astype(np.float32)
    return (logp[:, None] + torch.from_numpy(noise)).topk(slots, dim=2).indices


def _states(
    log: Sequences, steps: int, size: int, items: int, rng: np.random.Generator
) -> Iterator[tuple[I64, Bool, Bool, I64]]:
    """Endless batches: windows (B, T) of what came before, which of their states are told of (B, T), and of these n what the
    user had had (n, I) and took next (n,).

    A window ends every half of ``steps`` events, counted from a history's end, and tells of its newer half, so that a state has
    read as much as it will when it is asked; what a user had had already is no target.
    """
    window = _windows(log.offsets, steps)
    while True:
        order = rng.permutation(len(window))
        found = False
        for first in range(0, len(order), size):
            batch = _batch(log, window[order[first : first + size]], steps, items)
            if len(batch[-1]):
                found = True
                yield batch
        if not found:
            raise ConfigError("learn_lists: no event of the log has another item of its user before it, so there is no state")


def _windows(offsets: I64, steps: int) -> I64:
    """(W, 4) of each: where its user's rows begin, its first row, the first row it tells of, its end."""
    half, out = max(1, steps // 2), []
    for low, high in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        end = high
        while end > low:
            first = max(low, end - steps)
            out.append((low, first, first if first == low else end - half, end))
            if first == low:
                break
            end -= half
    return np.array(out, np.int64).reshape(-1, 4)


def _batch(log: Sequences, windows: I64, steps: int, items: int) -> tuple[I64, Bool, Bool, I64]:
    before, told = np.full((len(windows), steps), -1, np.int64), np.zeros((len(windows), steps), np.bool_)
    had, target = [], []
    for row, (low, first, tells, end) in enumerate(windows.tolist()):
        before[row, steps - (end - first) :] = log.before[first:end]
        seen = np.zeros(items, np.bool_)
        seen[log.target[low : max(low, tells)]] = True
        for place in range(tells, end):
            took = log.target[place]
            if place > low and not seen[took]:
                told[row, steps - (end - place)] = True
                had.append(seen.copy())
                target.append(took)
            seen[took] = True
    return before, told, np.array(had, np.bool_).reshape(-1, items), np.array(target, np.int64)
