"""The first stage of ``youtube``: the history's mean through a tower to a vector, a softmax over the catalogue.

Covington, Adams and Sargin (RecSys 2016), section 3. The second stage reads the same windows, so they are cut here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.models.descent import Descent, next_item
from longgame.models.embeddings import drawn
from longgame.models.warm import Warm
from longgame.models.windows import Sequences, batch_size, batches, once, sequences
from longgame.networks import from_arrays, to_arrays
from longgame.rng import derive
from longgame.types import F32, F64, I64, Bool

if TYPE_CHECKING:
    from longgame.models.youtube import YouTubeConfig


@dataclass(frozen=True)
class Part:
    """Some windows, and n steps in them: events with what came before each."""

    rows: I64
    """(B, L) rows of the items before each step, A where there is none"""
    came: I64
    """(B, L) rows of the items that came then, A where there is none"""
    told: Bool
    """(B, L) where the n steps are"""
    event: I64
    """(n,) which event of the log each is"""

    @property
    def target(self) -> I64:
        """(n,) row of the item that came"""
        return self.came[self.told]


class Windows:
    """A log as both stages are trained on it. An event's history is what came before it and never what came after."""

    def __init__(self, log: Interactions, warm: Warm, steps: int) -> None:
        log = once(log)
        self.user, self.value = log.user, log.value  # (N,)
        self.length: I64 = np.arange(len(log)) - log.offsets[:-1][log.user]  # (N,) events before each
        span = int(np.ptp(log.at)) if len(log) else 0
        # (N,) share of the log's time since each: the example's age, which is 0 when it is served
        self.age: F32 = ((log.at.max(initial=0) - log.at) / max(span, 1)).astype(np.float32)
        self.share: F64 = np.bincount(warm.column[log.item], minlength=len(warm)) / max(len(log), 1)
        self._steps, self._sequences, self._row = steps, sequences(log), warm.padded
        self._batch = batch_size(self._sequences, steps)

    def __len__(self) -> int:
        return len(self.value)

    def parts(self, rng: np.random.Generator) -> Iterator[Part]:
        """One pass over all events."""
        known, number = self._sequences, np.arange(len(self))
        for place, _ in batches(Sequences(known.offsets, number, number), self._steps, self._batch, rng):
            told = place >= 0
            before, came = (self._row[np.where(told, items[place], -1)] for items in (known.before, known.target))
            yield Part(before, came, told, place[told])


def powers(x: Tensor) -> Tensor:
    """(n,) numbers in [0, 1] -> (n, 3): x, its square and its root, which let a network bend them (section 4.1)."""
    return torch.stack([x, x.square(), x.sqrt()], dim=1)


def lengths(count: I64, steps: int) -> Tensor:
    """(n,) events of a history -> (n, 3), as a share of what is read, on a scale of logarithms."""
    share = np.minimum(np.log1p(count) / np.log1p(4 * steps), 1.0)
    return powers(torch.from_numpy(share.astype(np.float32)))


def pooled(table: Tensor, rows: Tensor, wanted: Tensor, half_life: float) -> tuple[Tensor, Tensor]:
    """(A, D), (B, L) rows, A for none -> (n, D) means of the items up to each wanted step, and (n, D) the item at it.

    In the mean an item ``half_life`` steps back counts half; zeros where there is no item.
    """
    vectors = functional.embedding(rows, torch.cat([table, table.new_zeros(1, table.shape[1])]))
    back = torch.arange(rows.shape[1])[:, None] - torch.arange(rows.shape[1])
    fading = torch.where(back >= 0, torch.exp2(-back.clamp(min=0) / half_life), torch.zeros(()))
    weight = fading * (rows < len(table))[:, None, :]
    mean = (weight @ vectors) / weight.sum(dim=2, keepdim=True).clamp(min=1e-9)
    return mean[wanted], vectors[wanted]


class CandidateNetwork(nn.Module):
    """A history -> a vector u, and items' vectors v, so that u . v + b is the logarithm of the odds of coming next."""

    def __init__(self, items: int, config: YouTubeConfig) -> None:
        super().__init__()
        self.half_life, self.drop, self.with_last = config.half_life, config.dropout, config.last
        self.history = nn.Parameter(torch.zeros(items, config.width))
        self.items = nn.Parameter(torch.zeros(items, config.width))
        self.bias = nn.Parameter(torch.zeros(items))
        wide = [config.width * (1 + config.last) + 6, *(config.hidden // 2**n for n in range(config.layers))]
        layers = [nn.Linear(a, b) for a, b in pairwise(wide)]
        self.tower = nn.ModuleList([*layers, nn.Linear(wide[-1], config.width)])

    def forward(self, rows: Tensor, wanted: Tensor, length: Tensor, age: Tensor) -> Tensor:
        """(B, L), (B, L), (n, 3) of :func:`lengths` and (n,) -> (n, D)."""
        mean, last = pooled(self.history, rows, wanted, self.half_life)
        read = torch.cat([mean, last], dim=1) if self.with_last else mean
        x = torch.cat([functional.dropout(read, self.drop, self.training), length, powers(age)], dim=1)
        for layer in self.tower[:-1]:
            x = functional.dropout(functional.relu(layer(x)), self.drop, self.training)
        out: Tensor = self.tower[-1](x)
        return out

    def scores(self, rows: Tensor, wanted: Tensor, length: Tensor) -> Tensor:
        """-> (n, A) as they are served: at age 0."""
        return torch.addmm(self.bias, self(rows, wanted, length, torch.zeros(len(length))), self.items.T)


def candidate_network(items: int, config: YouTubeConfig) -> CandidateNetwork:
    """Before training, its rows of items all zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(derive(config.seed, "youtube candidates").integers(2**62)))
        return CandidateNetwork(items, config).eval()


class CandidateTrainer:
    """``stopping.Trainer`` of the first stage."""

    def __init__(self, config: YouTubeConfig, log: Interactions, warm: Warm) -> None:
        """``warm`` may have more items than the log has events on: those are never targets."""
        self._config, self._warm, self._windows = config, warm, Windows(log, warm, config.steps)
        network, ids = candidate_network(len(warm), config), warm.ids(log)
        network.history.data[:] = torch.from_numpy(drawn(ids, config.width, config.seed, "youtube history"))
        network.items.data[:] = torch.from_numpy(drawn(ids, config.width, config.seed, "youtube items"))
        self._descent = Descent(network, config.learning_rate, config.weight_decay, config.average)

    @property
    def mean(self) -> CandidateNetwork:
        return self._descent.mean

    def epoch(self, number: int) -> float:
        config, windows, loss = self._config, self._windows, 0.0
        network = self._descent.network.train()
        order, dropout, negatives = (derive(config.seed, f"youtube {w}", str(number)) for w in ("order", "dropout", "draw"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(dropout.integers(2**62)))
            for part in windows.parts(order):
                length = lengths(windows.length[part.event], config.steps)
                age = torch.from_numpy(windows.age[part.event] * np.float32(config.example_age))
                wanted = network(torch.from_numpy(part.rows), torch.from_numpy(part.told), length, age)
                args = wanted, network.items, network.bias, part.target, windows.share
                loss += next_item(*args, config.negatives, negatives)
                self._descent.move()
        return loss / len(windows)

    def score(self, histories: I64) -> F32:
        told = served(self.mean, self._warm, histories, self._config.steps)[0].numpy()
        return self._warm.spread(told + self._warm.own_tie)

    def weights(self) -> Mapping[str, Arrays]:
        return {"mean": to_arrays(self.mean)}

    def put_back(self, weights: Mapping[str, Arrays]) -> None:
        from_arrays(self.mean, weights["mean"])


@torch.inference_mode()
def served(network: CandidateNetwork, warm: Warm, histories: I64, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, T) positions -> (B, A) scores of the first stage, (B, L) rows that were read, (B, 3) of :func:`lengths`."""
    history = warm.rows(histories)
    length = lengths((history >= 0).sum(axis=1), steps)
    history = history[:, -steps:]
    rows = torch.from_numpy(np.where(history < 0, len(warm), history))
    wanted = torch.zeros(rows.shape, dtype=torch.bool)
    wanted[:, -1] = True
    return network.scores(rows, wanted, length), rows, length
