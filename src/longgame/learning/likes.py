"""A network of users learns liked from not liked, by the logistic loss on what each state's user rated later.

It stands above the models, whose networks it trains, and above what is judged (``evaluation.newcomers``), by which it stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from longgame.arrays import State
from longgame.evaluation.newcomers import Ratings, States, by_user, grouped_auc
from longgame.networks import UserNetwork, from_arrays, tensor, to_arrays
from longgame.rng import derive
from longgame.types import F32, I64

TARGETS, BATCH = 24, 128


@dataclass(frozen=True)
class Lessons:
    """How the networks learn; chosen on validation (docs/profiles.md)."""

    passes: int = 8
    """Of the supervised network."""
    epochs: int = 9
    patience: int = 4
    dropout: float = 0.2
    rate: float = 1e-3
    shrink: float = 16.0
    tastes: int = 4
    final: bool = True
    """Whether those are judged that nothing is chosen by."""


@dataclass(frozen=True)
class Part:
    """Some states with what an arm knows of them."""

    states: States
    history: I64
    context: F32


def scored(network: UserNetwork, part: Part, vectors: F32) -> F32:
    """(N, I)"""
    padded = np.concatenate([vectors, np.zeros((1, vectors.shape[1]), np.float32)])
    network.eval()
    with torch.no_grad():
        found = []
        for first in range(0, len(part.states), 256):
            items = part.history[first : first + 256]
            user = network.user(State(padded[items], items, part.context[first : first + 256]))
            found.append(network.score(user, tensor(vectors)).numpy())
    return np.concatenate(found)


def learn(data: Ratings, how: Lessons, network: UserNetwork, vectors: F32, parts: Mapping[str, Part], seed: int) -> int:
    """Trains in place on the part "learn" up to the epoch that is best on "chosen" and "warm chosen"; that epoch."""
    torch.manual_seed(seed)  # of dropout
    optimizer = torch.optim.AdamW(network.parameters(), lr=how.rate, weight_decay=0.1)
    padded = np.concatenate([vectors, np.zeros((1, vectors.shape[1]), np.float32)])
    best, kept, told = (0, -1.0), to_arrays(network), parts["learn"]
    for epoch in range(1, how.epochs + 1):
        rng = derive(seed, "profiles", f"epoch {epoch}")
        network.train()
        order = rng.permutation(len(told.states))
        for first in range(0, len(order), BATCH):
            rows = order[first : first + BATCH]
            shown, liked = _targets(data, told.states, rows, rng)
            items = told.history[rows]
            found = network.user(State(padded[items], items, told.context[rows]))
            loss = functional.binary_cross_entropy_with_logits(network.score(found, tensor(vectors[shown])), tensor(liked))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types there
            optimizer.step()
        aucs = [grouped_auc(data, parts[n].states, scored(network, parts[n], vectors)) for n in ("chosen", "warm chosen")]
        value = float(np.mean([by_user(parts["chosen"].states, aucs[0])[1].mean(), aucs[1].mean()]))
        if value > best[1]:
            best, kept = (epoch, value), to_arrays(network)
        if epoch - best[0] >= how.patience:
            break
    from_arrays(network, kept)
    return best[0]


def _targets(data: Ratings, states: States, rows: I64, rng: np.random.Generator) -> tuple[I64, F32]:
    """(B, TARGETS) items that each state's user rated later, and whether they were liked."""
    shown = np.empty((len(rows), TARGETS), np.int64)
    liked = np.empty((len(rows), TARGETS), np.float32)
    for at, row in enumerate(rows.tolist()):
        user, n, end = int(states.user[row]), int(states.length[row]), int(states.end[row])
        drawn = rng.integers(n, end, TARGETS)
        shown[at], liked[at] = data.position[user][drawn], data.liked[user][drawn]
    return shown, liked
