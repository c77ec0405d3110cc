"""Networks that judge one pair of a history and an item: what NeuMF and DeepFM share. Torch loads when this module does.

Both give a pair the logit

    u . v + b_u + b_i + tower(x_u + y_i)

where the history's side (u, b_u, x_u) knows nothing of the item, and the item's (v, b_i, y_i) nothing of the history. x_u + y_i
is the tower's first layer before its activation: a product of two vectors joined and a matrix is the sum of two products, so
each side is worked out once, and the whole catalogue costs one addition of H numbers a pair and the layers above.

Pairs to learn from: each event of the log with the items before it in its window, and ``negatives`` items drawn alike among
those with events that do not occur in that window. They are drawn in training only; who is scored is scored on everything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.errors import ArtefactError, ConfigError
from longgame.models import stopping
from longgame.models.histories import known, recent
from longgame.models.stopping import Watch
from longgame.models.warm import Warm
from longgame.models.windows import batch_size, batches, sequences
from longgame.networks import from_arrays, to_arrays
from longgame.rng import derive
from longgame.types import F32, I64

_TRIES = 4
"""Draws of an item that is not in the window; where all fail, the pair counts for nothing."""
_HELD = 1_000_000
"""Numbers of the tower's first layer held at once when the catalogue is scored: 4 MB, near the caches."""


class PairConfig(Protocol):
    """What the training asks of a config."""

    @property
    def hidden(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def negatives(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def epochs(self) -> int: ...
    @property
    def patience(self) -> int: ...
    @property
    def seed(self) -> int: ...


def checked(config: PairConfig, width: int) -> None:
    """Raises ConfigError for what cannot work."""
    name = type(config).__name__
    if min(width, config.steps, config.negatives, config.epochs, config.layers) < 1 or config.patience < 0:
        raise ConfigError(
            f"{name}: width, layers, steps, negatives and epochs must be 1 or more and patience 0 or more, got {config}"
        )
    if config.hidden < 2 ** (config.layers - 1):
        raise ConfigError(f"{name}.hidden: must be halved {config.layers - 1} times by the layers, got {config.hidden}")
    if not 0 <= config.dropout < 1 or not config.learning_rate > 0 or not config.weight_decay >= 0:
        raise ConfigError(f"{name}: dropout in [0, 1), learning_rate above 0, weight_decay not below, got {config}")


@dataclass(frozen=True)
class Side:
    """One side of n pairs."""

    dot: Tensor
    """(n, D) what is multiplied with the other side's"""
    first: Tensor
    """(n, H) its part of the tower's first layer"""
    bias: Tensor
    """(n,)"""


class Users(nn.Module, ABC):
    """The history's side; parameters named in ``by_item`` have a row for each item, the others none."""

    by_item: tuple[str, ...]

    @abstractmethod
    def forward(self, history: Tensor, wanted: Tensor) -> Side:
        """(B, L) rows of items, the number of rows on padding, and (B, L) -> the sides after each step that is ``wanted``."""


class Items(nn.Module, ABC):
    """The item's side. It is trained, and then only what comes out is kept."""

    @abstractmethod
    def forward(self) -> Side:
        """Of the items that it was made for."""


class Tower(nn.Module):
    """Layers above the first, each half as wide as the one below, and one number on top."""

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        wide = [hidden // 2**n for n in range(layers)]
        self.above = nn.ModuleList(nn.Linear(a, b) for a, b in zip(wide, [*wide[1:], 1], strict=True))

    def forward(self, first: Tensor) -> Tensor:
        """(..., H) the first layer before its activation -> (...)."""
        x = first
        for layer in self.above:
            x = layer(functional.relu(x))
        out: Tensor = x[..., 0]
        return out


@dataclass(frozen=True)
class Network:
    """Both sides and the tower, of one number of items."""

    users: Users
    items: Items
    tower: Tower


def summed(table: Tensor, history: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of ``table`` (n, D) of the (B, L) items up to each wanted step, over the root of their number; and the numbers.

    One running sum serves all the histories of a window: L additions, where each history by itself would be L^2 / 2.
    """
    present = history < len(table)
    rows = functional.embedding(history, torch.cat([table, table.new_zeros(1, table.shape[1])]))
    count = present.to(table.dtype).cumsum(dim=1)[wanted]
    out = rows.cumsum(dim=1)[wanted] / count.clamp(min=1.0).sqrt()[:, None]
    return out, count


def logits(network: Tower, user: Side, item: Side, chosen: Tensor) -> Tensor:
    """Sides of M histories and of the items, (M, n) rows of items -> (M, n)."""
    flat = functional.embedding(chosen, torch.cat([item.dot, item.first, item.bias[:, None]], dim=1))
    width, last = item.dot.shape[1], flat.shape[2] - 1
    dot = (flat[..., :width] @ user.dot[:, :, None])[..., 0]
    out: Tensor = dot + flat[..., last] + user.bias[:, None] + network(user.first[:, None] + flat[..., width:last])
    return out


class Scorer:
    """The side of the history, the tower, and all items' sides worked out: what a trained network is kept as."""

    def __init__(self, users: Users, tower: Tower, items: Side, steps: int) -> None:
        self._users, self._tower, self._items, self._steps = users.eval(), tower.eval(), items, steps

    @torch.inference_mode()
    def score(self, histories: I64) -> F32:
        """As ``protocols.Model.score`` says; the last ``steps`` items count, repeats in a row once."""
        items = self._items
        count = len(items.bias)
        history = recent(known(histories, count), self._steps)
        if not count or not len(history):
            return np.zeros((len(history), count), np.float32)
        wanted = torch.zeros(history.shape, dtype=torch.bool)
        wanted[:, -1] = True
        user = self._users(torch.from_numpy(np.where(history < 0, count, history)), wanted)
        out = user.dot @ items.dot.T + items.bias + user.bias[:, None]
        rows = max(1, _HELD // (count * items.first.shape[1]))
        for low in range(0, len(out), rows):
            out[low : low + rows] += self._tower(user.first[low : low + rows, None] + items.first)
        scores: F32 = out.numpy()
        return scores

    def arrays(self) -> Arrays:
        items = {name: getattr(self._items, name).numpy().copy() for name in ("dot", "first", "bias")}
        own = {f"items.{name}": array for name, array in items.items()}
        return {**own, **to_arrays(self._users, "users."), **to_arrays(self._tower, "tower.")}

    @staticmethod
    def of(arrays: Arrays, users: Callable[[int], Users], config: PairConfig) -> Scorer:
        """The inverse of :meth:`arrays`, ``users`` making a history's side for so many items. Raises ArtefactError."""
        missing = [name for name in ("dot", "first", "bias") if f"items.{name}" not in arrays]
        if missing:
            raise ArtefactError(f"checkpoint: items.{missing[0]} must be there, got {', '.join(sorted(arrays)) or 'nothing'}")
        side = Side(*(torch.from_numpy(np.array(arrays[f"items.{name}"], np.float32)) for name in ("dot", "first", "bias")))
        with torch.random.fork_rng(devices=[]):
            own, tower = users(len(side.bias)), Tower(config.hidden, config.layers)
        from_arrays(own, arrays, "users.")
        from_arrays(tower, arrays, "tower.")
        return Scorer(own, tower, side, config.steps)


@dataclass(frozen=True)
class Recipe:
    """How an algorithm makes its network."""

    name: str
    config: PairConfig
    users: Callable[[int], Users]
    """For so many items, its numbers not yet drawn by id."""
    network: Callable[[Interactions, Warm], Network]
    """The network of a log's items with events; generators of torch are ready."""
    sides: Callable[[Network, Interactions, Warm], Side]
    """The sides of all items of the catalogue, those without events too."""


def trained(recipe: Recipe, log: Interactions, watch: Watch) -> tuple[Arrays, int]:
    """Arrays of a :class:`Scorer` trained on ``log``, which must have an event, and the number of passes that was best."""
    c = recipe.config
    done = stopping.fit(lambda part: PairTrainer(recipe, part), log, c.epochs, c.patience, True, c.seed, watch)
    return done.trainer.weights()["model"], done.best_epoch


class PairTrainer:
    """``stopping.Trainer``: binary cross-entropy on events and drawn negatives, by AdamW."""

    def __init__(self, recipe: Recipe, log: Interactions) -> None:
        self._recipe, self._log, self._warm, config = recipe, log, Warm.of(log), recipe.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(derive(config.seed, recipe.name).integers(2**62)))
            self._network = recipe.network(log, self._warm)
        self._sequences = sequences(log)
        self._batch = batch_size(self._sequences, config.steps, least=4, passing=100)
        parts = (self._network.users, self._network.items, self._network.tower)
        weights = [weight for part in parts for weight in part.parameters()]
        # foreach=False: one order of additions, so that the same seed is the same model to the last bit
        self._optimizer = torch.optim.AdamW(
            weights, lr=config.learning_rate, weight_decay=config.weight_decay, foreach=False, fused=False
        )
        self._scorer: Scorer | None = None

    def epoch(self, number: int) -> float:
        config, name, loss, count = self._recipe.config, self._recipe.name, 0.0, 0
        self._scorer = None
        for part in (self._network.users, self._network.items, self._network.tower):
            part.train()
        rng = derive(config.seed, name, "negatives", str(number))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(derive(config.seed, name, "dropout", str(number)).integers(2**62)))
            order = derive(config.seed, name, "order", str(number))
            for before, target in batches(self._sequences, config.steps, self._batch, order):
                loss += self._step(self._warm.padded[before], self._warm.padded[target], rng)
                count += int((target >= 0).sum())
        return loss / count

    def _step(self, before: I64, target: I64, rng: np.random.Generator) -> float:
        """(B, L) rows before and (B, L) rows that came -> the sum of the mean losses of each event's pairs."""
        told = target < len(self._warm)
        others, fair = negatives(before, target, len(self._warm), self._recipe.config.negatives, rng)
        user = self._network.users(torch.from_numpy(before), torch.from_numpy(told))
        chosen = np.concatenate([target[told][:, None], others], axis=1)
        out = logits(self._network.tower, user, self._network.items(), torch.from_numpy(chosen))
        true, counts = torch.zeros(out.shape), torch.ones(out.shape)
        true[:, 0] = 1.0
        counts[:, 1:] = torch.from_numpy(fair)
        loss = functional.binary_cross_entropy_with_logits(out, true, counts, reduction="sum") / counts.sum()
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()
        return float(loss.detach()) * int(told.sum())

    def score(self, histories: I64) -> F32:
        return self._kept().score(histories)

    def _kept(self) -> Scorer:
        """The network of this moment, with a row for each item of the catalogue."""
        if self._scorer is None:
            users, tower = self._network.users.eval(), self._network.tower.eval()
            with torch.inference_mode():
                items = self._recipe.sides(self._network, self._log, self._warm)
            bias = items.bias + torch.from_numpy(self._warm.tie)
            own = to_arrays(users, "users.")
            own |= {name: self._warm.whole(own[name]) for name in (f"users.{name}" for name in users.by_item)}
            sides = {"items.dot": items.dot.numpy(), "items.first": items.first.numpy(), "items.bias": bias.numpy()}
            arrays = {**sides, **own, **to_arrays(tower, "tower.")}
            self._scorer = Scorer.of(arrays, self._recipe.users, self._recipe.config)
        return self._scorer

    def weights(self) -> Mapping[str, Arrays]:
        return {"model": self._kept().arrays()}

    def put_back(self, weights: Mapping[str, Arrays]) -> None:
        """For scoring; what is trained on afterwards stays as it is."""
        self._scorer = Scorer.of(weights["model"], self._recipe.users, self._recipe.config)


def negatives(before: I64, target: I64, items: int, count: int, rng: np.random.Generator) -> tuple[I64, F32]:
    """(B, L) rows, ``items`` on padding -> for each of the M targets (M, count) drawn items and 1 where one is no item of
    its window, 0 where no draw was free."""
    seen = np.zeros((len(target), items + 1), np.bool_)
    window = np.broadcast_to(np.arange(len(target))[:, None], target.shape)
    seen[window, before] = True
    seen[window, target] = True
    of = window[target < items]
    others = rng.integers(0, items, (len(of), count, _TRIES))
    free = ~seen[of[:, None, None], others]
    out = np.take_along_axis(others, free.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
    return out, np.asarray(free.any(axis=2), np.float32)


def whole(rows: Tensor, warm: Warm) -> Tensor:
    """As ``Warm.whole``."""
    out = rows.new_zeros((len(warm.tie), *rows.shape[1:]))
    out[torch.from_numpy(warm.position)] = rows
    return out


class PairModel(ABC):
    """A model that is a :class:`Scorer`; what it is made by is told by those who derive from it."""

    name: str

    def __init__(self, config: PairConfig, watch: Watch) -> None:
        self._pair, self.watch = config, watch
        self.best_epoch = 0
        """Passes after which the held-out events were ranked best; 0 where nothing was held out."""
        self._scorer: Scorer | None = None
        self._count = 0

    @abstractmethod
    def recipe(self, features: F32) -> Recipe:
        """How its network is made, for a catalogue whose text vectors are ``features`` (I, X)."""

    def fit(self, log: Interactions, features: F32) -> None:
        self.best_epoch, self._scorer, self._count = 0, None, len(log.items)
        if len(log):
            recipe = self.recipe(features)
            arrays, self.best_epoch = trained(recipe, log, self.watch)
            self._scorer = Scorer.of(arrays, recipe.users, self._pair)

    def score(self, histories: I64) -> F32:
        if self._scorer is None:
            return np.zeros((len(known(histories, self._count)), self._count), np.float32)
        return self._scorer.score(histories)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        if self._scorer is None:
            return {"count": np.array(self._count)}
        return {"count": np.array(self._count), **self._scorer.arrays()}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        arrays = {name: array for name, array in state.items() if name != "count"}
        users = self.recipe(np.zeros((0, 0), np.float32)).users
        scorer = Scorer.of(arrays, users, self._pair) if arrays else None
        self._scorer, self._count = scorer, int(state["count"])
