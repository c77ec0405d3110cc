"""The second stage of ``youtube``: candidates ranked by expected watch time, learned by weighted logistic regression.

Covington, Adams and Sargin (RecSys 2016), section 4. What is learned from are lists of candidates as they would have been
served, each event's own among them if the first stage found it, made by a first stage that has not seen that user: one
fitted on an event ranks it better than it ever will a new one, and would be trusted too much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from longgame.arrays import Interactions
from longgame.artefacts import Arrays
from longgame.models.descent import Descent
from longgame.models.embeddings import drawn
from longgame.models.warm import Warm
from longgame.models.youtube_candidates import CandidateNetwork, Part, Windows, lengths, pooled, powers, served
from longgame.networks import from_arrays, to_arrays
from longgame.rng import derive
from longgame.types import F32, I64

if TYPE_CHECKING:
    from longgame.models.youtube import YouTubeConfig

_EVENTS = 50_000
"""Events of a pass, at most, drawn anew each pass: the candidates of each are sought in the whole catalogue."""
_HELD = 2_000_000
"""Scores of the first stage held at once: 8 MB."""
_FAR = 60.0
"""Largest logit that is served: beyond it the exponential leaves float32."""


@dataclass(frozen=True)
class Found:
    """The first stage's candidates for n histories, best first."""

    row: Tensor
    """(n, N) rows of items"""
    likely: Tensor
    """(n, N) logarithm of the first stage's probability of each"""

    @staticmethod
    def of(scores: Tensor, most: int) -> Found:
        """(n, A) scores -> the first ``most`` of A."""
        best, row = scores.topk(min(most, scores.shape[1]), dim=1)
        return Found(row, best - scores.logsumexp(dim=1, keepdim=True))


@dataclass(frozen=True)
class Shown:
    """m candidates of each of n histories."""

    row: Tensor
    """(n, m)"""
    likely: Tensor
    """(n, m) as in :class:`Found`"""
    place: Tensor
    """(n, m) place among the candidates, as a share of their number"""


class RankingNetwork(nn.Module):
    """A history and its candidates -> the logit of each, whose exponential is served."""

    popularity: Tensor

    def __init__(self, items: int, config: YouTubeConfig) -> None:
        super().__init__()
        d, h = config.ranking_width, config.ranking_hidden
        self.half_life, self.drop = config.half_life, config.dropout
        self.table = nn.Parameter(torch.zeros(items, d))
        self.register_buffer("popularity", torch.zeros(items))
        self.query = nn.Linear(2 * d, d)
        self.user, self.candidate = nn.Linear(2 * d + 3, h), nn.Linear(2 * d + 9, h, bias=False)
        self.above = nn.Sequential(nn.ReLU(), nn.Linear(h, h // 2), nn.ReLU(), nn.Linear(h // 2, 1))
        self.likely = nn.Parameter(torch.ones(()))

    def forward(self, rows: Tensor, wanted: Tensor, length: Tensor, shown: Shown) -> Tensor:
        """(B, L), (B, L), (n, 3) and m candidates of each -> (n, m)."""
        mean, last = pooled(self.table, rows, wanted, self.half_life)
        read = functional.dropout(torch.cat([mean, last], dim=1), self.drop, self.training)
        own = functional.embedding(shown.row, self.table)
        asked = own * self.query(read)[:, None]
        shape = (*shown.row.shape, 3)
        numbers = [powers(x.reshape(-1)).view(shape) for x in (shown.place, self.popularity[shown.row])]
        alike = torch.stack([(own * last[:, None]).sum(2), asked.sum(2), shown.likely / 10], dim=2)
        # A layer over two vectors joined is the sum of a layer over each: the user's part is worked out once
        first = self.candidate(torch.cat([own, asked, *numbers, alike], dim=2))
        first = first + self.user(torch.cat([read, length], dim=1))[:, None]
        out: Tensor = self.above(first)[..., 0] + self.likely * shown.likely
        return out


def ranking_network(items: int, config: YouTubeConfig) -> RankingNetwork:
    """Before training, its rows of items all zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(derive(config.seed, "youtube ranking").integers(2**62)))
        return RankingNetwork(items, config).eval()


def watch_time_loss(logits: Tensor, taken: Tensor, weight: Tensor) -> Tensor:
    """Weighted logistic regression over pairs of one shape: the mean over those of weight above 0.

    With a taken pair's watch time as its weight and 1 for one not taken, the odds it learns are sum(T) / (N - k): of N
    pairs k taken, nearly the expected watch time where k is small (section 4.2).

    >>> float(watch_time_loss(torch.zeros(2), torch.tensor([1.0, 0.0]), torch.tensor([3.0, 1.0])) / np.log(2))
    2.0
    """
    each = functional.binary_cross_entropy_with_logits(logits, taken, weight, reduction="sum")
    return each / (weight > 0).sum().clamp(min=1)


def watch_times(value: F32) -> F32:
    """(N,) values of events -> how long each was watched: the values where they are positive and differ, else 1."""
    told = len(value) and np.isfinite(value).all() and value.min() > 0 and value.min() < value.max()
    return value.astype(np.float32) if told else np.ones(len(value), np.float32)


@dataclass(frozen=True)
class Stage:
    """Both stages as they serve."""

    candidates: CandidateNetwork
    ranking: RankingNetwork
    warm: Warm
    unit: float
    """Watch time at odds of 1."""

    @torch.inference_mode()
    def score(self, histories: I64, config: YouTubeConfig) -> F32:
        """(B, T) -> (B, I): of candidates the expected watch time, of all others less than 0, in the first stage's order."""
        told, rows, length = served(self.candidates, self.warm, histories, config.steps)
        if not len(self.warm) or not len(rows):
            return self.warm.spread(told.numpy())
        told = told + torch.from_numpy(self.warm.own_tie)
        found = Found.of(told, config.candidates)
        place = (torch.arange(found.row.shape[1]) / found.row.shape[1]).expand(found.row.shape)
        wanted = torch.zeros(rows.shape, dtype=torch.bool)
        wanted[:, -1] = True
        logits = self.ranking(rows, wanted, length, Shown(found.row, found.likely, place))
        logits = logits + torch.from_numpy(self.warm.own_tie)[found.row]
        out = told - told.max(dim=1, keepdim=True).values - 1
        out.scatter_(1, found.row, self.unit * logits.clamp(-_FAR, _FAR).exp())
        return self.warm.spread(out.numpy())


class RankingTrainer:
    """``stopping.Trainer`` of the second stage."""

    def __init__(self, config: YouTubeConfig, log: Interactions, warm: Warm, first: CandidateNetwork, apart: Halves) -> None:
        """``first`` is what serves before it; ``apart`` what made the lists that it learns from."""
        self._config, self._warm, self._first, self._apart = config, warm, first, apart
        self._windows = Windows(log, warm, config.steps)
        self._watched = watch_times(self._windows.value)
        mean = float(self._watched.mean())
        self._watched /= np.float32(mean)
        # Odds are against the candidates drawn; against all that were not taken they are so much less.
        self._unit = mean * config.untaken / max(min(config.candidates, len(warm)) - 1, config.untaken)
        network, ids = ranking_network(len(warm), config), warm.ids(log)
        network.table.data[:] = torch.from_numpy(drawn(ids, config.ranking_width, config.seed, "youtube table"))
        share = self._windows.share
        less = np.searchsorted(np.sort(share), share) / max(len(warm), 1)  # of equals all alike
        network.popularity[:] = torch.from_numpy(less.astype(np.float32))
        self._descent = Descent(network, config.learning_rate, config.weight_decay, config.average)

    def epoch(self, number: int) -> float:
        config, loss, count = self._config, 0.0, 0
        network = self._descent.network.train()
        order, dropout, draws = (derive(config.seed, f"ranking {w}", str(number)) for w in ("order", "dropout", "draw"))
        share = _EVENTS / max(len(self._windows), 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(dropout.integers(2**62)))
            for part in self._windows.parts(order):
                some = fewer(part, share, draws)
                if not len(some.target):
                    continue
                loss += self._step(network, some, draws) * len(some.target)
                count += len(some.target)
        return loss / max(count, 1)

    def _step(self, network: RankingNetwork, part: Part, rng: np.random.Generator) -> float:
        length = lengths(self._windows.length[part.event], self._config.steps)
        found = self._apart.found(part, self._windows.user[part.event], length, self._config.candidates)
        shown, weight = lists(found, part, self._watched[part.event], self._config.untaken, rng)
        logits = network(torch.from_numpy(part.rows), torch.from_numpy(part.told), length, shown)
        taken = torch.zeros(logits.shape)
        taken[:, 0] = 1.0
        loss = watch_time_loss(logits, taken, weight)
        torch.autograd.backward(loss)
        self._descent.move()
        return float(loss.detach())

    def stage(self) -> Stage:
        return Stage(self._first, self._descent.mean, self._warm, self._unit)

    def score(self, histories: I64) -> F32:
        return self.stage().score(histories, self._config)

    def weights(self) -> Mapping[str, Arrays]:
        return {"mean": to_arrays(self._descent.mean)}

    def put_back(self, weights: Mapping[str, Arrays]) -> None:
        from_arrays(self._descent.mean, weights["mean"])


@dataclass(frozen=True)
class Halves:
    """Two first stages, each fitted on other users than those whose lists it makes."""

    half: I64
    """(U,) 0 or 1: which of them makes each user's"""
    networks: tuple[CandidateNetwork, CandidateNetwork]

    @torch.inference_mode()
    def found(self, part: Part, user: I64, length: Tensor, most: int) -> Found:
        """The candidates at the n steps of ``part``, whose users are ``user`` (n,)."""
        half, rows = self.half[user], torch.from_numpy(part.rows)
        size = len(user), min(most, len(self.networks[0].items))
        row, likely = torch.zeros(size, dtype=torch.int64), torch.zeros(size)
        for number, network in enumerate(self.networks):
            mine = half == number
            if not mine.any():
                continue
            wanted = part.told.copy()
            wanted[part.told] = mine
            own = torch.from_numpy(np.flatnonzero(mine))
            vectors = network(rows, torch.from_numpy(wanted), length[own], torch.zeros(len(own)))
            many = max(1, _HELD // max(len(network.items), 1))
            for first in range(0, len(own), many):
                at = own[first : first + many]
                some = Found.of(torch.addmm(network.bias, vectors[first : first + many], network.items.T), most)
                row[at], likely[at] = some.row, some.likely
        return Found(row, likely)


def fewer(part: Part, share: float, rng: np.random.Generator) -> Part:
    """A ``share`` of its steps, drawn."""
    if share >= 1:
        return part
    kept = rng.random(len(part.target)) < share
    told = part.told.copy()
    told[part.told] = kept
    return Part(part.rows, part.came, told, part.event[kept])


def lists(found: Found, part: Part, watched: F32, count: int, rng: np.random.Generator) -> tuple[Shown, Tensor]:
    """Candidates of n steps -> for each its own item and ``count`` that were not taken, and (n, 1 + count) their weights.

    The own item's weight is ``watched`` (n,), that of others 1; 0 where the own one is no candidate, or where fewer than
    ``count`` candidates are left that do not occur in the window.
    """
    row, size = found.row.numpy(), found.row.shape[1]
    own = row == part.target[:, None]
    window = np.arange(len(part.rows))[:, None]
    taken = np.zeros((len(window), 1 + max(int(some.max(initial=0)) for some in (row, part.rows, part.came))), np.bool_)
    taken[window, part.rows] = taken[window, part.came] = True
    key = rng.random(row.shape)
    key[taken[np.nonzero(part.told)[0][:, None], row]] = 2.0
    some = np.argsort(key, axis=1)[:, :count]
    column = np.concatenate([own.argmax(axis=1)[:, None], some], axis=1)
    weight = np.ones(column.shape, np.float32)
    weight[:, 0] = np.where(own.any(axis=1), watched, 0.0)
    weight[:, 1:] = np.take_along_axis(key, some, axis=1) < 1.5
    at = torch.from_numpy(column)
    shown = Shown(found.row.gather(1, at), found.likely.gather(1, at), at / size)
    return shown, torch.from_numpy(weight)
