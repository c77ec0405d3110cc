"""A log without decisions -> batches: what users did on their own, read as actions of a policy nobody wrote down.

The way of Chen et al. (WSDM 2019): each event is an action, the catalogue what it was chosen from, and the policy that
chose it is estimated by a supervised softmax of the same state (section 4.3). That estimate stands in for the
propensity, so what is learned here is only as sound as it is; a log of decisions (``learning.batches``) needs none.

The log must be whole: where a user's last events were taken off for a test, their futures are short by those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from longgame.arrays import Batch, Interactions, State
from longgame.errors import ConfigError
from longgame.models.histories import known, recent
from longgame.protocols import Policy
from longgame.shapes import check
from longgame.types import F32, F64, I64, Bool, Objective

_DAY = 86_400_000_000
_LEAST = 1e-6
"""Smallest propensity an estimate may give: below it, it is guessing."""


class Behaviour(Protocol):
    """Scores whose softmax is the estimated probability of each item being taken next: any supervised ``Model``."""

    def score(self, histories: I64) -> F32:
        """(B, T) positions, oldest first, -1 padding -> (B, I)."""


@dataclass(frozen=True)
class Actions:
    """Each event of a log as an action: what it earned, what came later, and which event that was."""

    log: Interactions
    reward: F64
    """(N,)"""
    future: F64
    """(N,) discounted rewards of the user's later events, as of this one"""
    discount: F64
    """(N,) worth now of a reward at the user's next event; 0 where there is none"""
    told: Bool
    """(N,) True where there is a history, the item is new to it, and the log goes on for the objective's horizon"""


def actions(log: Interactions, objective: Objective, kind: str = "rating") -> Actions:
    """Every event of ``log`` is of ``kind``; its value decides its reward."""
    n, gamma, user = len(log), objective.discount, log.user
    reward = np.array([objective.reward(kind, float(value)) for value in log.value], np.float64)
    follows = np.append(user[1:] == user[:-1], False) if n else np.zeros(0, np.bool_)
    discount, future = np.zeros(n), np.zeros(n)
    if gamma > 0:
        gap = np.diff(log.at, append=log.at[-1:]) / _DAY
        discount = np.where(follows, gamma ** np.maximum(gap, 0.0), 0.0)
        for i in range(n - 2, -1, -1):
            future[i] = discount[i] * (reward[i + 1] + future[i + 1])
    horizon = round(objective.horizon.total_seconds() * 1e6)
    told = log.at + horizon <= log.at.max(initial=0)
    return Actions(log, reward, future, discount, told & _new(log))


def organic_batches(
    actions: Actions,
    vectors: F32,
    behaviour: Behaviour,
    steps: int,
    size: int,
    rng: np.random.Generator,
    sample: int = 0,
) -> Iterator[Batch]:
    """One pass over the told actions in random order, ``size`` rows a batch, K = 1.

    ``vectors`` (I, D) are those that the policy scores. Candidates are the whole catalogue or, with ``sample``, the
    batch's own actions and so many other items, one set for all rows; what a user has taken already is masked.
    Propensities are the behaviour's softmax over the candidates, at least 1e-6.
    """
    check({"I": len(actions.log.items)}, ("vectors", vectors, "I D"))
    if size < 1 or steps < 1 or sample < 0:
        raise ConfigError(f"organic_batches: size and steps 1 or more, sample 0 or more, got {size}, {steps} and {sample}")
    padded = np.concatenate([vectors, np.zeros((1, vectors.shape[1]), np.float32)])
    order = rng.permutation(np.flatnonzero(actions.told))
    for first in range(0, len(order), size):
        rows = order[first : first + size]
        taken = np.unique(actions.log.item[rows])
        candidates = np.arange(len(vectors))
        if sample:
            candidates = np.union1d(taken, rng.choice(len(vectors), min(sample, len(vectors)), replace=False))
        yield _batch(actions, rows, candidates, padded, behaviour, steps)


def _batch(actions: Actions, rows: I64, candidates: I64, padded: F32, behaviour: Behaviour, steps: int) -> Batch:
    """The events numbered ``rows`` (B,) with ``candidates`` (C,) for all. ``padded`` (I+1, D) ends with zeros."""
    log, count = actions.log, len(rows)
    mask = _unseen(log, rows, candidates)
    action = np.searchsorted(candidates, log.item[rows])[:, None]
    before, after = _state(log, rows, padded, steps), _state(log, rows + 1, padded, steps)
    scores = behaviour.score(before.items)[:, candidates].astype(np.float64)
    scores = np.where(mask, scores - scores.max(axis=1, keepdims=True, where=mask, initial=-np.inf), -np.inf)
    odds = np.take_along_axis(np.exp(scores), action, axis=1) / np.exp(scores).sum(axis=1, keepdims=True)
    items = np.broadcast_to(padded[candidates], (count, len(candidates), padded.shape[1]))
    following = mask.copy()
    np.put_along_axis(following, action, False, axis=1)
    return Batch(
        before,
        items,
        mask,
        mask[:, None, :],
        action,
        np.clip(odds, _LEAST, 1.0),
        actions.reward[rows, None].astype(np.float32),
        np.ones((count, 1), np.bool_),
        actions.future[rows].astype(np.float32),
        actions.discount[rows].astype(np.float32),
        after,
        items,
        following,
    )


def _state(log: Interactions, ends: I64, padded: F32, steps: int) -> State:
    """The last ``steps`` events of each row's user before event number ``ends`` (B,), repeats in a row taken once.

    ``ends`` may be one past the user's last event, so the user is the one of the event before.
    """
    start = log.offsets[np.searchsorted(log.offsets, ends - 1, side="right") - 1]
    items = np.full((len(ends), steps), -1, np.int64)
    for row, (low, high) in enumerate(zip(start.tolist(), ends.tolist(), strict=True)):
        history = log.item[max(low, high - 4 * steps) : high]
        history = history[np.append(True, history[1:] != history[:-1])][-steps:]
        items[row, steps - len(history) :] = history
    return State(padded[items], items, np.zeros((len(ends), 0), np.float32))


def _unseen(log: Interactions, rows: I64, candidates: I64) -> Bool:
    """(B, C) False for what the row's user had taken before."""
    start = log.offsets[np.searchsorted(log.offsets, rows, side="right") - 1]
    seen = np.zeros((len(rows), len(log.items)), np.bool_)
    for row, (low, high) in enumerate(zip(start.tolist(), rows.tolist(), strict=True)):
        seen[row, log.item[low:high]] = True
    return ~seen[:, candidates]


def _new(log: Interactions) -> Bool:
    """(N,) True where the event is not its user's first and its item is new to the user."""
    out = np.zeros(len(log), np.bool_)
    code = log.user * len(log.items) + log.item
    out[np.unique(code, return_index=True)[1]] = True
    out[log.offsets[:-1][np.diff(log.offsets) > 0]] = False
    return out


@dataclass(frozen=True)
class PolicyScorer:
    """A policy as a scorer of the whole catalogue, for ``evaluation.ranking``."""

    policy: Policy
    vectors: F32
    """(I, D)"""
    steps: int

    def score(self, histories: I64) -> F32:
        """(B, T) positions, -1 padding -> (B, I)."""
        items = recent(known(histories, len(self.vectors)), self.steps)
        padded = np.concatenate([self.vectors, np.zeros((1, self.vectors.shape[1]), np.float32)])
        shape = (len(items), len(self.vectors))
        state = State(padded[items], items, np.zeros((len(items), 0), np.float32))
        return self.policy.score(state, np.broadcast_to(self.vectors, (*shape, padded.shape[1])), np.ones(shape, np.bool_))
