"""Joined decisions -> the columns of d3rlpy's ``MDPDataset``, for offline algorithms that are not ours.

d3rlpy's world is smaller than the log, and what is lost is said here:

- *One action a step.* A slate of K is K steps in K episodes: each slot of a user's decisions is a sequence of its own, of the
  item in the slot and of the slot's reward. The action is the item's place in the catalogue.
- *A state is one vector*: the mean of the history, its newest item, and the context of the request.
- *Time is a count*: a reward a step later is worth gamma, however many days later it came.

An end is not a cut: ``terminals`` is 1 where the objective's whole horizon passed without another decision of the user,
``timeouts`` is 1 where the log stops before that can be told, and where the next decision left this slot empty or showed what
the catalogue no longer knows. d3rlpy learns nothing of what comes after a cut. There are no ids of users.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from longgame.arrays import State
from longgame.errors import DataError
from longgame.language.features import Features
from longgame.learning.batches import Trajectories, columns, states
from longgame.types import F32, I64, Bool

_CHUNK = 10_000
"""Decisions whose histories are in memory at once."""


def transitions(log: Trajectories, features: Features, steps: int) -> Mapping[str, np.ndarray[Any, Any]]:
    """Columns of M steps, each episode's in a row, those of d3rlpy first.

    ``observations`` (M, 2 D + F), ``actions`` (M,) positions in ``items``, ``rewards``, ``terminals`` and ``timeouts`` (M,);
    ``propensities`` (M,) of the pick given the picks before it, ``slots`` (M,), ``items`` (I,) ids.

    Raises DataError where the log holds no decision of an item that is known.
    """
    if not log.rows:
        raise DataError("export: the log holds no decision whose feedback window is closed; serve or simulate some first")
    action, propensity, reward, _ = columns(log.rows)
    item = _items(log, action)
    slot, row = _order(log, item >= 0)
    if not len(row):
        raise DataError("export: no decision shows an item that the catalogue knows; was the log made with another catalogue?")
    after = log.following[row]
    goes_on = (after >= 0) & (item[np.maximum(after, 0), slot] >= 0)
    end = (after < 0) & log.told[row]
    return {
        "observations": _observations(log, features, steps)[row],
        "actions": item[row, slot],
        "rewards": reward[row, slot],
        "terminals": end.astype(np.float32),
        "timeouts": (~goes_on & ~end).astype(np.float32),
        "propensities": propensity[row, slot],
        "slots": slot,
        "items": np.array(features.ids),
    }


def _items(log: Trajectories, action: I64) -> I64:
    """(N, K) catalogue positions of what was shown, -1 in an empty slot and for an item that is gone."""
    out = np.full(action.shape, -1, np.int64)
    for row, joined in enumerate(log.rows):
        out[row, : len(joined.picks)] = joined.candidates[list(joined.picks)]
    return out


def _order(log: Trajectories, filled: Bool) -> tuple[I64, I64]:
    """Slot and row of each step: by slot, then by user, then as they happened."""
    number: dict[str, int] = {}
    user = np.array([number.setdefault(joined.user, len(number)) for joined in log.rows], np.int64)
    order = np.argsort(user, kind="stable")
    slot, place = np.nonzero(filled[order].T)
    return slot.astype(np.int64), order[place]


def _observations(log: Trajectories, features: Features, steps: int) -> F32:
    """(N, 2 D + F)"""
    parts = [
        observation(states(log.rows[start : start + _CHUNK], features, steps)) for start in range(0, len(log.rows), _CHUNK)
    ]
    return np.concatenate(parts)


def observation(state: State) -> F32:
    """State of B -> (B, 2 D + F), as ``algorithms.towers`` reads it: the mean of the history, its newest item, the context."""
    count = np.maximum(state.present.sum(axis=1, keepdims=True), 1).astype(np.float32)
    out: F32 = np.concatenate([state.history.sum(axis=1) / count, state.history[:, -1], state.context], axis=1)
    return out
