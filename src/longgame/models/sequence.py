"""The supervised network: what comes next in a history, by a softmax over the whole catalogue.

SASRec (Kang and McAuley, ICDM 2018) with its binary loss and sampled negatives replaced by cross-entropy over all
items, which is what makes it strong (Klenitskiy and Vasilev, RecSys 2023). The network is ``networks.UserNetwork``,
which knows an item by its vector only, so a policy can start exactly where this model stands. An item's vector is

    e_i = text_i P + r_i

with P learned and r_i a residual learned from the item's own events, left out at random while training, as in
DropoutNet (Volkovs et al., NeurIPS 2017): so text alone must do too, and an item without events, whose r_i is zero,
is scored at once. Such items are no negatives in training: that nobody took them yet says nothing against them.

For little data and noisy data there are options, all off: augmented inputs (``augment``), contrast and agreement with the
mean of the weights (``lessons``), and item vectors pushed where the loss rises fastest, as in APR (He et al., SIGIR 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.errors import ArtefactError, ConfigError
from longgame.models import softmax, stopping
from longgame.models.augment import BLIND, Augmentation, neighbours
from longgame.models.histories import known, recent
from longgame.models.lessons import Reader, agreement, contrast, windows
from longgame.models.objectives import push
from longgame.models.space import OneOf, Real, Space, Whole
from longgame.models.stopping import Watch, unwatched
from longgame.models.windows import batches, sequences
from longgame.networks import NetworkConfig, UserNetwork, from_arrays, tensor, to_arrays
from longgame.rng import derive
from longgame.shapes import check
from longgame.types import F32, I64, ItemId

_STEPS_A_PASS = 150
"""Training steps a pass takes where the batch is chosen by the log's size: fewer learn too little in a pass."""


@dataclass(frozen=True)
class SequenceConfig:
    """The network's size and how it is trained."""

    width: int = 64
    """D, width of an item vector."""
    hidden: int = 64
    """H, width inside the network; a multiple of ``heads``."""
    heads: int = 2
    blocks: int = 1
    steps: int = 50
    """T, the last events of a history that it reads."""
    dropout: float = 0.2
    """Share of activations dropped in training, in [0, 1)."""
    text_alone: float = 0.1
    """Share of items whose residual is left out at a training step, in [0, 1). More helps items without events."""
    learning_rate: float = 2e-3
    """Of Adam, above 0."""
    weight_decay: float = 0.3
    """Of Adam, decoupled from the gradient (AdamW), 0 or more."""
    average: float = 0.995
    """Share of the running mean of the weights that a training step keeps; the mean is the model. 0: the last weights."""
    batch: int = 0
    """Windows of up to ``steps`` events in a training step. 0: so many that a pass takes about 150 steps, 16 to 512."""
    epochs: int = 40
    """At most so many passes over the log."""
    patience: int = 4
    """Passes without a better NDCG@10 on the held-out events after which training stops. 0: all epochs, nothing held out."""
    refit: bool = True
    """Train anew on the whole log, the held-out events included, for the number of passes that was best."""
    augment: tuple[str, ...] = ()
    """Of crop, mask, reorder and substitute: what half of the windows are read through, one drawn for each (``augment``)."""
    strength: float = 0.3
    """Share of a window's events that an augmentation touches, in (0, 1)."""
    contrast: float = 0.0
    """Weight of telling two views of a window from those of others, 0.1 in CL4SRec; views are by ``augment``, or by the three
    that need no text. 0: not at all."""
    pretrain: int = 0
    """Passes of that contrast alone before the first pass of all."""
    unlabelled: float = 0.0
    """Weight of agreeing with the mean of the weights on what comes after a window, where no label is. 0: not at all."""
    adversary: float = 0.0
    """Length of the push that item vectors, about 1 long, must stand at each training step, which doubles its time. 0: none."""
    adversary_weight: float = 1.0
    """Of the loss under that push; the loss without it has weight 1."""
    seed: int = 0

    SPACE: ClassVar[Space] = {
        "blocks": Whole(1, 2),
        "steps": OneOf((20, 50, 100)),
        "dropout": Real(0.1, 0.6),
        "text_alone": OneOf((0.1, 0.3, 0.5)),
        "learning_rate": Real(5e-4, 4e-3, log=True),
        "weight_decay": Real(0.01, 1.0, log=True),
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "augment", tuple(self.augment))
        self.network()
        Augmentation(self.augment or BLIND, self.strength, np.zeros((0, 0), np.int64))
        if not 0 <= self.text_alone < 1 or self.learning_rate <= 0 or self.weight_decay < 0:
            raise ConfigError(
                f"SequenceConfig: text_alone in [0, 1), learning_rate above 0, weight_decay not below, got {self}"
            )
        if not 0 <= self.average < 1:
            raise ConfigError(f"SequenceConfig.average: must lie in [0, 1), got {self.average}")
        if self.epochs < 1 or min(self.batch, self.patience) < 0:
            raise ConfigError(f"SequenceConfig: epochs must be 1 or more, batch and patience 0 or more, got {self}")
        for name in ("contrast", "pretrain", "unlabelled", "adversary", "adversary_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"SequenceConfig.{name}: must be 0 or more, got {getattr(self, name)}")

    def network(self) -> NetworkConfig:
        """The network that policies started from this model must have."""
        return NetworkConfig(
            self.width, 0, self.hidden, heads=self.heads, blocks=self.blocks, steps=self.steps, dropout=self.dropout
        )


class _Catalogue(nn.Module):
    """Item vectors: text through P, plus a residual of each item."""

    def __init__(self, ids: tuple[ItemId, ...], text: int, config: SequenceConfig) -> None:
        super().__init__()
        noise = derive(config.seed, "text").standard_normal((text, config.width)) * config.width**-0.5
        self.project = nn.Parameter(torch.from_numpy(noise.astype(np.float32)))
        # Drawn from the item's id, not from its place: another order of the catalogue is the same model.
        draws = [derive(config.seed, "item", id).standard_normal(config.width) for id in ids]
        start = np.array(draws).reshape(len(ids), config.width) * config.width**-0.5 * (0.1 if text else 1.0)
        self.residual = nn.Parameter(torch.from_numpy(start.astype(np.float32)))

    def forward(self, text: Tensor, items: Tensor, text_alone: float) -> Tensor:
        """(I, X), (n,) positions -> (n, D)."""
        residual = self.residual[items]
        if text_alone and text.shape[1]:
            residual = residual * (torch.rand(len(items), 1) >= text_alone)
        out: Tensor = text[items] @ self.project + residual
        return out


class SequenceModel:
    """History -> scores of every item; also the vectors and the network that a policy starts from."""

    name = "sequence"

    def __init__(self, config: SequenceConfig | None = None, watch: Watch = unwatched) -> None:
        self.config = config or SequenceConfig()
        self.watch = watch
        self.best_epoch = 0
        """Passes over the log after which the held-out events were ranked best; 0 where nothing was held out."""
        self.curve: list[float] = []
        """NDCG@10 of the held-out events after each pass."""
        self._empty(0, 0)

    def _empty(self, items: int, text: int) -> None:
        self._network = UserNetwork(self.config.network(), self.config.seed).eval()
        self._project = np.zeros((text, self.config.width), np.float32)  # (X, D)
        self._residual = np.zeros((items, self.config.width), np.float32)  # (I, D)
        self._items = np.zeros((items, self.config.width), np.float32)  # (I, D) text P + residual

    def fit(self, log: Interactions, features: F32) -> None:
        sizes = check({"I": len(log.items)}, ("features", features, "I X"))
        self._empty(sizes["I"], sizes["X"])
        self.best_epoch, self.curve = 0, []
        if not len(log):
            self._items = features @ self._project
            return
        c = self.config
        done = stopping.fit(lambda log: _Trainer(c, log, features), log, c.epochs, c.patience, c.refit, c.seed, self.watch)
        self.best_epoch, self.curve = done.best_epoch, list(done.curve)
        self._take(done.trainer, features)

    def _take(self, trainer: _Trainer, features: F32) -> None:
        self._network = trainer.mean_network
        catalogue = to_arrays(trainer.mean_catalogue)
        self._project = catalogue["project"]
        self._residual[trainer.active] = catalogue["residual"][trainer.active]
        self._items = features @ self._project + self._residual

    def score(self, histories: I64) -> F32:
        """As ``protocols.Model`` says; only the last ``steps`` items count, repeats in a row once."""
        return _score(self._network, self._items, recent(known(histories, len(self._items)), self.config.steps))

    def item_vectors(self, features: F32) -> F32:
        """(I', X) -> (I', D) vectors of the fitted items, and by text alone of items appended after them."""
        count, text = len(self._items), len(self._project)
        sizes = check({"X": text}, ("features", features, "I X"))
        if sizes["I"] < count:
            raise ConfigError(f"SequenceModel.item_vectors: a catalogue only grows, got {sizes['I']} items after {count}")
        out: F32 = features @ self._project
        out[:count] += self._residual
        return out

    def network_arrays(self) -> Arrays:
        """The network, for instance to start ``algorithms.Reinforce`` with ``config.network()``."""
        return to_arrays(self._network)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        own = {"project": self._project.copy(), "residual": self._residual.copy(), "items": self._items.copy()}
        return {**own, **to_arrays(self._network, "network.")}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Raises ArtefactError where the arrays are those of another config."""
        project, residual, items = (np.array(state[name], np.float32) for name in ("project", "residual", "items"))
        if {project.shape[1:], residual.shape[1:], items.shape[1:]} != {(self.config.width,)}:
            raise ArtefactError(f"checkpoint: item vectors must have width {self.config.width}, got {items.shape}")
        network = UserNetwork(self.config.network())
        from_arrays(network, state, "network.")
        self._network, self._project, self._residual, self._items = network.eval(), project, residual, items


@torch.inference_mode()
def _score(network: UserNetwork, items: F32, histories: I64) -> F32:
    """(I, D), (B, T) with padding in front -> (B, I)."""
    present = histories >= 0
    vectors = np.concatenate([items, np.zeros((1, items.shape[1]), np.float32)])[histories]
    known = (torch.from_numpy(vectors), torch.from_numpy(present), torch.zeros(len(histories), 0))
    user = network.steps(*known, last=True)[:, 0]
    out: F32 = network.score(user, torch.from_numpy(items)).numpy()
    return out


class _Trainer:
    """A network and a catalogue under training. One object a fit, so nothing half-made outlives it."""

    def __init__(self, config: SequenceConfig, log: Interactions, features: F32) -> None:
        self.config, self.log = config, log
        self.network = UserNetwork(config.network(), config.seed)
        self.catalogue = _Catalogue(log.items, features.shape[1], config)
        # The softmax is over items with events, in order of their ids: no draw depends on the catalogue's order.
        self.active = np.array(sorted(np.unique(log.item).tolist(), key=lambda i: log.items[i]), np.int64)
        self.column = np.full(len(log.items) + 1, -1, np.int64)  # position -> its column of the softmax
        self.column[self.active] = np.arange(len(self.active))
        self.text = tensor(np.ascontiguousarray(features, np.float32))
        near = neighbours(features, self.active) if "substitute" in config.augment else np.zeros((len(log.items), 0), np.int64)
        self.augmentation = Augmentation(config.augment or BLIND, config.strength, near)
        self.mean_network, self.mean_catalogue = deepcopy(self.network).eval(), deepcopy(self.catalogue)
        self.steps = 0
        weights = [*self.network.parameters(), *self.catalogue.parameters()]
        # foreach=False: one order of additions, so that the same seed is the same model to the last bit
        self.optimizer = torch.optim.AdamW(
            weights, lr=config.learning_rate, weight_decay=config.weight_decay, foreach=False, fused=False
        )
        self.sequences = sequences(log)
        count = -(-np.diff(self.sequences.offsets) // config.steps).sum()
        self.batch = config.batch or int(np.clip(count // _STEPS_A_PASS, 16, 512))

    def epoch(self, number: int) -> float:
        """One pass over the log -> the mean loss. What it draws depends on the seed and ``number`` only."""
        for first in range(self.config.pretrain if number == 0 else 0):
            self._pass(("pretrain", str(first)), self._contrast_step)
        return self._pass((str(number),), partial(self._step, number))

    def _pass(self, name: tuple[str, ...], step: Callable[[I64, I64, np.random.Generator], float]) -> float:
        """A step on each batch of the log -> the sum of what they return, an event. ``name`` derives all draws."""
        config = self.config
        self.network.train()
        loss, count = 0.0, 0
        dropout, order, views = (derive(config.seed, what, *name) for what in ("dropout", "order", "views"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(dropout.integers(2**62)))
            for before, target in batches(self.sequences, config.steps, self.batch, order):
                loss += step(before, target, views)
                count += int((target >= 0).sum())
        return loss / count

    def _step(self, number: int, before: I64, target: I64, rng: np.random.Generator) -> float:
        """(B, L), (B, L) -> the sum of the losses of the batch's targets."""
        config = self.config
        self.optimizer.zero_grad()
        loss = self._next(*(self.augmentation.inputs(before, target, rng) if config.augment else (before, target)))
        if config.contrast or config.unlabelled:
            self._lessons(windows(before, target, config.steps), number, rng)
        self._move()
        return loss

    def _contrast_step(self, before: I64, target: I64, rng: np.random.Generator) -> float:
        self.optimizer.zero_grad()
        told = contrast(self._reader(), windows(before, target, self.config.steps), self.augmentation, rng)
        if told is None:
            return 0.0
        told.backward()  # type: ignore[no-untyped-call]
        self._move()
        return float(told.detach()) * len(before)

    def _reader(self) -> Reader:
        items = self.catalogue(self.text, torch.from_numpy(self.active), self.config.text_alone)
        return Reader(self.network, items, self.column)

    def _next(self, before: I64, target: I64) -> float:
        """Adds the gradient of saying what came next, and of saying it under a push; the sum of the losses without."""
        config = self.config
        if not config.adversary:
            return self._said(self._reader(), before, target)
        drawn, reader = torch.get_rng_state(), self._reader()
        reader.items.retain_grad()
        loss = self._said(reader, before, target)
        assert reader.items.grad is not None
        shift = push(reader.items.grad, config.adversary)
        torch.set_rng_state(drawn)  # the same activations are dropped: else the push is against another network
        reader = self._reader()
        self._said(replace(reader, items=reader.items + shift), before, target, config.adversary_weight)
        return loss

    def _said(self, reader: Reader, before: I64, target: I64, weight: float = 1.0) -> float:
        told = torch.from_numpy(target >= 0)
        wanted = reader.steps(before)[told] @ self.network.item.weight
        appeal = self.network.appeal(reader.items)[:, 0]
        return softmax.backward(wanted, reader.items, appeal, torch.from_numpy(self.column[target])[told], weight)

    def _lessons(self, rows: I64, number: int, rng: np.random.Generator) -> None:
        """Adds the gradient of what (B, T) windows teach without a label."""
        config, student = self.config, self._reader()
        total = student.items.new_zeros(())
        if config.contrast and (told := contrast(student, rows, self.augmentation, rng)) is not None:
            total = total + config.contrast * told
        if config.unlabelled:
            with torch.no_grad():
                items = self.mean_catalogue(self.text, torch.from_numpy(self.active), 0.0)
            teacher = Reader(self.mean_network, items, self.column)
            total = total + config.unlabelled * agreement(student, teacher, rows, self.augmentation, number, rng)
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]

    def _move(self) -> None:
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0, foreach=False)
        self.optimizer.step()
        self._average()

    @torch.no_grad()
    def _average(self) -> None:
        """A running mean of the weights ranks better than the last ones, which still jump from batch to batch."""
        self.steps += 1
        kept = min(self.config.average, self.steps / (self.steps + 10))  # what it started from is soon forgotten
        for mean, last in ((self.mean_network, self.network), (self.mean_catalogue, self.catalogue)):
            for average, weight in zip(mean.parameters(), last.parameters(), strict=True):
                average.lerp_(weight, 1 - kept)

    def score(self, histories: I64) -> F32:
        """With the mean of the weights."""
        with torch.inference_mode():
            items: F32 = self.mean_catalogue(self.text, torch.arange(len(self.log.items)), 0.0).numpy()
        return _score(self.mean_network, items, recent(histories, self.config.steps))

    def weights(self) -> dict[str, Arrays]:
        return {"network": to_arrays(self.mean_network), "catalogue": to_arrays(self.mean_catalogue)}

    def put_back(self, weights: Mapping[str, Arrays]) -> None:
        from_arrays(self.mean_network, weights["network"])
        from_arrays(self.mean_catalogue, weights["catalogue"])
