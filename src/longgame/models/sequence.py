"""The supervised network: what comes next in a history, by a softmax over the whole catalogue.

SASRec (Kang and McAuley, ICDM 2018) with its binary loss and sampled negatives replaced by cross-entropy over all
items, which is what makes it strong (Klenitskiy and Vasilev, RecSys 2023). The network is ``networks.UserNetwork``,
which knows an item by its vector only, so a policy can start exactly where this model stands. An item's vector is

    e_i = text_i P + r_i

with P learned and r_i a residual learned from the item's own events, left out at random while training, as in
DropoutNet (Volkovs et al., NeurIPS 2017): so text alone must do too, and an item without events, whose r_i is zero,
is scored at once. Such items are no negatives in training: that nobody took them yet says nothing against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.errors import ArtefactError, ConfigError
from longgame.models import stopping
from longgame.models.histories import known, recent
from longgame.models.stopping import Watch, unwatched
from longgame.models.windows import batches, sequences
from longgame.networks import NetworkConfig, UserNetwork, from_arrays, to_arrays
from longgame.rng import derive
from longgame.shapes import check
from longgame.types import F32, I64, ItemId

_STEPS_A_PASS = 150
"""Training steps a pass takes where the batch is chosen by the log's size: fewer learn too little in a pass."""
_SLICE = 1_000_000
"""Scores held at once in the loss: 4 MB."""


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
    seed: int = 0

    def __post_init__(self) -> None:
        self.network()
        if not 0 <= self.text_alone < 1 or self.learning_rate <= 0 or self.weight_decay < 0:
            raise ConfigError(
                f"SequenceConfig: text_alone in [0, 1), learning_rate above 0, weight_decay not below, got {self}"
            )
        if not 0 <= self.average < 1:
            raise ConfigError(f"SequenceConfig.average: must lie in [0, 1), got {self.average}")
        if self.epochs < 1 or min(self.batch, self.patience) < 0:
            raise ConfigError(f"SequenceConfig: epochs must be 1 or more, batch and patience 0 or more, got {self}")

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
        self.text = torch.from_numpy(np.ascontiguousarray(features, np.float32))
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
        config = self.config
        self.network.train()
        loss, count = 0.0, 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(derive(config.seed, "dropout", str(number)).integers(2**62)))
            for before, target in batches(self.sequences, config.steps, self.batch, derive(config.seed, "order", str(number))):
                loss += self._step(before, target)
                count += int((target >= 0).sum())
        return loss / count

    def _step(self, before: I64, target: I64) -> float:
        """(B, L), (B, L) -> the sum of the losses of the batch's targets."""
        config, network = self.config, self.network
        items = self.catalogue(self.text, torch.from_numpy(self.active), config.text_alone)
        vectors = torch.cat([items, items.new_zeros(1, config.width)])[torch.from_numpy(self.column[before])]
        user = network.steps(vectors, torch.from_numpy(before >= 0), torch.zeros(len(before), 0))
        told = torch.from_numpy(target >= 0)
        wanted = user[told] @ network.item.weight
        self.optimizer.zero_grad()
        loss = _backward(wanted, items, network.appeal(items)[:, 0], torch.from_numpy(self.column[target])[told])
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0, foreach=False)
        self.optimizer.step()
        self._average()
        return loss

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


def _backward(wanted: Tensor, items: Tensor, appeal: Tensor, target: Tensor) -> float:
    """The softmax cross-entropy of (M, D) against (I, D) items and (I,) appeal; its mean's gradient goes to all three.

    A slice of rows at a time and with the gradient written out, so that memory is bounded whatever M x I is, and one
    slice stays near the caches. Returns the sum of the losses.
    """
    count = len(target)
    rows = max(1, _SLICE // max(len(items), 1))
    with torch.no_grad():
        to_wanted, to_items, to_appeal = torch.empty_like(wanted), torch.zeros_like(items), torch.zeros_like(appeal)
        loss = 0.0
        for first in range(0, count, rows):
            part, own = wanted[first : first + rows], target[first : first + rows, None]
            scores = torch.addmm(appeal, part, items.T)
            total = scores.logsumexp(dim=1, keepdim=True)
            loss += float((total - scores.gather(1, own)).sum())
            error = scores.sub_(total).exp_()  # softmax minus one-hot: the gradient at the scores
            error.scatter_add_(1, own, error.new_full(own.shape, -1.0))
            to_wanted[first : first + rows] = error @ items
            to_items += error.T @ part
            to_appeal += error.sum(dim=0)
    torch.autograd.backward([wanted, items, appeal], [to_wanted / count, to_items / count, to_appeal / count])
    return loss
