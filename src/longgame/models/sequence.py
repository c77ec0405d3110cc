"""The supervised network: what comes next in a history, by a softmax over the whole catalogue.

SASRec (Kang and McAuley, ICDM 2018) with its binary loss and sampled negatives replaced by cross-entropy over all
items, which is what makes it strong (Klenitskiy and Vasilev, RecSys 2023). The network is ``networks.UserNetwork``,
which knows an item by its vector only, so a policy can start exactly where this model stands. An item's vector is its
text, projected, and a residual learned from its own events (``item_vectors``). An item without events, whose residual is
zero, is scored at once by its text. Such items are no negatives in training: that nobody took them yet says nothing
against them.

The softmax is over a small catalogue, or over a draw that stands for a large one (``softmax``); blocks may be gated as in
eSASRec (Tikhonovich et al., "eSASRec: Enhancing Transformer-based Recommendations in a Modular Fashion", RecSys 2025).

For little data and noisy data there are options, all off: augmented inputs (``augment``), contrast and agreement with the
mean of the weights (``lessons``), and item vectors pushed where the loss rises fastest, as in APR (He et al., SIGIR 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.errors import ArtefactError, ConfigError
from longgame.models import stopping
from longgame.models.augment import BLIND, Augmentation, neighbours
from longgame.models.descent import Descent, next_item
from longgame.models.histories import known, recent
from longgame.models.item_vectors import JOINTS, ItemVectors, Standard
from longgame.models.lessons import Reader, agreement, contrast, windows
from longgame.models.objectives import push
from longgame.models.space import OneOf, Real, Space, Whole
from longgame.models.stopping import Watch, unwatched
from longgame.models.warm import Warm
from longgame.models.windows import batch_size, batches, sequences
from longgame.networks import NetworkConfig, UserNetwork, from_arrays, tensor, to_arrays
from longgame.rng import derive
from longgame.shapes import check
from longgame.types import F32, I64


@dataclass(frozen=True)
class SequenceConfig:
    """The network's size and how it is trained."""

    width: int = 64
    """D, width of an item vector."""
    hidden: int = 64
    """H, width inside the network; a multiple of ``heads``."""
    heads: int = 2
    """Of the attention."""
    blocks: int = 1
    """Of attention and a feed-forward layer, one upon the other."""
    steps: int = 50
    """T, the last events of a history that it reads."""
    dropout: float = 0.2
    """Share of activations dropped in training, in [0, 1)."""
    joint: str = "projected"
    """How text and identity share an item's vector: projected or subspace (``item_vectors``)."""
    text_width: int = 128
    """Directions of the texts that are read; in a subspace less than ``width``, for the rest is the identity's."""
    text_alone: float = 0.1
    """Share of items whose residual is left out at a training step, in [0, 1). More helps items without events."""
    gated: bool = False
    """Gates on both branches of a block, and a gated feed-forward layer: the blocks of eSASRec (``networks.Block``)."""
    negatives: int = 1500
    """Items drawn for each training step that stand for the catalogue in the softmax (``softmax``), where it has more than
    twice as many with events. 0: always the whole catalogue."""
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
        if self.joint not in JOINTS or self.text_width < 1 or (self.joint == "subspace" and self.text_width >= self.width):
            raise ConfigError(
                f"SequenceConfig: joint must be one of {', '.join(JOINTS)}, and text_width 1 or more, less than width in a "
                f"subspace, got {self.joint!r}, {self.text_width} and {self.width}"
            )
        if not 0 <= self.average < 1:
            raise ConfigError(f"SequenceConfig.average: must lie in [0, 1), got {self.average}")
        if self.epochs < 1 or min(self.batch, self.patience, self.negatives) < 0:
            raise ConfigError(f"SequenceConfig: epochs must be 1 or more, batch, patience, negatives 0 or more, got {self}")
        for name in ("contrast", "pretrain", "unlabelled", "adversary", "adversary_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"SequenceConfig.{name}: must be 0 or more, got {getattr(self, name)}")

    def network(self) -> NetworkConfig:
        """The network that policies started from this model must have."""
        return NetworkConfig(
            self.width, 0, self.hidden, self.heads, self.blocks, self.steps, dropout=self.dropout, gated=self.gated
        )


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
        self._mean = np.zeros(text, np.float32)  # (X,) of the texts
        self._residual = np.zeros((items, self.config.width), np.float32)  # (I, D)
        self._items = np.zeros((items, self.config.width), np.float32)  # (I, D) text P + residual

    def fit(self, log: Interactions, features: F32) -> None:
        sizes = check({"I": len(log.items)}, ("features", features, "I X"))
        self._empty(sizes["I"], sizes["X"])
        self.best_epoch, self.curve = 0, []
        if not len(log):
            return
        c = self.config
        done = stopping.fit(lambda log: _Trainer(c, log, features), log, c.epochs, c.patience, c.refit, c.seed, self.watch)
        self.best_epoch, self.curve = done.best_epoch, list(done.curve)
        self._take(done.trainer, features)

    def _take(self, trainer: _Trainer, features: F32) -> None:
        mean = trainer.descent.mean
        self._network, catalogue = mean.network, to_arrays(mean.catalogue)
        self._project = trainer.standard.turn @ catalogue["project"]
        self._mean = trainer.standard.mean
        own = catalogue["residual"] * mean.catalogue.own.numpy()
        self._residual[trainer.active] = own[trainer.active]
        self._items = self.item_vectors(features)

    def score(self, histories: I64) -> F32:
        """As ``protocols.Model`` says; only the last ``steps`` items count, repeats in a row once."""
        return _score(self._network, self._items, recent(known(histories, len(self._items)), self.config.steps))

    def item_vectors(self, features: F32) -> F32:
        """(I', X) -> (I', D) vectors of the fitted items, and by text alone of items appended after them."""
        count, text = len(self._items), len(self._project)
        sizes = check({"X": text}, ("features", features, "I X"))
        if sizes["I"] < count:
            raise ConfigError(f"SequenceModel.item_vectors: a catalogue only grows, got {sizes['I']} items after {count}")
        out: F32 = np.asarray((features - self._mean) @ self._project, np.float32)
        out[~features.any(axis=1)] = 0.0  # no text says nothing, and not that it is unlike all others
        out[:count] += self._residual
        return out

    def network_arrays(self) -> Arrays:
        """The network, for instance to start ``algorithms.Reinforce`` with ``config.network()``."""
        return to_arrays(self._network)

    def state_dict(self) -> Mapping[str, np.ndarray[Any, Any]]:
        own = {
            "project": self._project.copy(),
            "mean": self._mean.copy(),
            "residual": self._residual.copy(),
            "items": self._items.copy(),
        }
        return {**own, **to_arrays(self._network, "network.")}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Raises ArtefactError where the arrays are those of another config."""
        project, residual, items = (np.array(state[name], np.float32) for name in ("project", "residual", "items"))
        if {project.shape[1:], residual.shape[1:], items.shape[1:]} != {(self.config.width,)}:
            raise ArtefactError(f"checkpoint: item vectors must have width {self.config.width}, got {items.shape}")
        network = UserNetwork(self.config.network())
        from_arrays(network, state, "network.")
        self._network, self._project, self._residual, self._items = network.eval(), project, residual, items
        # Snapshots of the first version have no mean: their texts were projected as they came.
        self._mean = np.array(state.get("mean", np.zeros(len(project))), np.float32)


@torch.inference_mode()
def _score(network: UserNetwork, items: F32, histories: I64) -> F32:
    """(I, D), (B, T) with padding in front -> (B, I)."""
    present = histories >= 0
    vectors = np.concatenate([items, np.zeros((1, items.shape[1]), np.float32)])[histories]
    known = (torch.from_numpy(vectors), torch.from_numpy(present), torch.zeros(len(histories), 0))
    user = network.steps(*known, last=True)[:, 0]
    out: F32 = network.score(user, torch.from_numpy(items)).numpy()
    return out


class _Parts(nn.Module):
    """All that is trained."""

    def __init__(self, network: UserNetwork, catalogue: ItemVectors) -> None:
        super().__init__()
        self.network, self.catalogue = network, catalogue


class _Trainer:
    """A network and a catalogue under training. One object a fit, so nothing half-made outlives it."""

    def __init__(self, config: SequenceConfig, log: Interactions, features: F32) -> None:
        self.config, self.log = config, log
        self.standard = Standard.of(features, np.unique(log.item), config.text_width)
        text = self.standard(np.ascontiguousarray(features, np.float32))
        catalogue = ItemVectors(log.items, text.shape[1], config.width, config.joint, config.seed)
        warm = Warm.of(log)
        self.active, self.column = warm.position, warm.column
        self.text = tensor(text)
        self.share = np.bincount(log.item, minlength=len(log.items))[self.active] / max(1, len(log))
        near = neighbours(features, self.active) if "substitute" in config.augment else np.zeros((len(log.items), 0), np.int64)
        self.augmentation = Augmentation(config.augment or BLIND, config.strength, near)
        parts = _Parts(UserNetwork(config.network(), config.seed), catalogue)
        self.descent = Descent(parts, config.learning_rate, config.weight_decay, config.average)
        self.sequences = sequences(log)
        self.batch = config.batch or batch_size(self.sequences, config.steps)
        self.negatives = config.negatives if 2 * config.negatives < len(self.active) else 0

    def epoch(self, number: int) -> float:
        """One pass over the log -> the mean loss. What it draws depends on the seed and ``number`` only."""
        for first in range(self.config.pretrain if number == 0 else 0):
            self._pass(("pretrain", str(first)), self._contrast_step)
        return self._pass((str(number),), partial(self._step, number))

    def _pass(self, name: tuple[str, ...], step: Callable[[I64, I64, np.random.Generator], float]) -> float:
        """A step on each batch of the log -> the sum of what they return, an event. ``name`` derives all draws."""
        config = self.config
        self.descent.network.train()
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
        loss = self._next(*(self.augmentation.inputs(before, target, rng) if config.augment else (before, target)), rng)
        if config.contrast or config.unlabelled:
            self._lessons(windows(before, target, config.steps), number, rng)
        self.descent.move()
        return loss

    def _contrast_step(self, before: I64, target: I64, rng: np.random.Generator) -> float:
        told = contrast(self._reader(), windows(before, target, self.config.steps), self.augmentation, rng)
        if told is None:
            return 0.0
        torch.autograd.backward(told)
        self.descent.move()
        return float(told.detach()) * len(before)

    def _reader(self) -> Reader:
        parts = self.descent.network
        items = parts.catalogue(self.text, torch.from_numpy(self.active), self.config.text_alone)
        return Reader(parts.network, items, self.column)

    def _next(self, before: I64, target: I64, rng: np.random.Generator) -> float:
        """Adds the gradient of saying what came next, and of saying it under a push; the sum of the losses without."""
        config = self.config
        if not config.adversary:
            return self._said(self._reader(), before, target, rng)
        drawn, reader = torch.get_rng_state(), self._reader()
        reader.items.retain_grad()
        loss = self._said(reader, before, target, rng)
        assert reader.items.grad is not None
        shift = push(reader.items.grad, config.adversary)
        torch.set_rng_state(drawn)  # the same activations are dropped: else the push is against another network
        reader = self._reader()
        self._said(replace(reader, items=reader.items + shift), before, target, rng, config.adversary_weight)
        return loss

    def _said(self, reader: Reader, before: I64, target: I64, rng: np.random.Generator, weight: float = 1.0) -> float:
        told = torch.from_numpy(target >= 0)
        wanted = reader.steps(before)[told] @ reader.network.item.weight
        appeal, column = reader.network.appeal(reader.items)[:, 0], self.column[target[target >= 0]]
        return next_item(wanted, reader.items, appeal, column, self.share, self.negatives, rng, weight)

    def _lessons(self, rows: I64, number: int, rng: np.random.Generator) -> None:
        """Adds the gradient of what (B, T) windows teach without a label."""
        config, student = self.config, self._reader()
        total = student.items.new_zeros(())
        if config.contrast and (told := contrast(student, rows, self.augmentation, rng)) is not None:
            total = total + config.contrast * told
        if config.unlabelled:
            with torch.no_grad():
                items = self.descent.mean.catalogue(self.text, torch.from_numpy(self.active), 0.0)
            teacher = Reader(self.descent.mean.network, items, self.column)
            total = total + config.unlabelled * agreement(student, teacher, rows, self.augmentation, number, rng)
        if total.requires_grad:
            torch.autograd.backward(total)

    def score(self, histories: I64) -> F32:
        """With the mean of the weights."""
        with torch.inference_mode():
            items: F32 = self.descent.mean.catalogue(self.text, torch.arange(len(self.log.items)), 0.0).numpy()
        return _score(self.descent.mean.network, items, recent(histories, self.config.steps))

    def weights(self) -> dict[str, Arrays]:
        mean = self.descent.mean
        return {"network": to_arrays(mean.network), "catalogue": to_arrays(mean.catalogue)}

    def put_back(self, weights: Mapping[str, Arrays]) -> None:
        from_arrays(self.descent.mean.network, weights["network"])
        from_arrays(self.descent.mean.catalogue, weights["catalogue"])
