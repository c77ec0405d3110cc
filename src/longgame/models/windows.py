"""A log cut into training windows for networks that read sequences, and the events held out to stop by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from longgame.arrays import Interactions
from longgame.types import I64

_JUDGES = 2000
"""Users whose last event is held out, at most: enough for an error of about .005 on NDCG@10."""


@dataclass(frozen=True)
class Sequences:
    """Each event of a log with the one before it: what a causal network reads and what it should have said."""

    offsets: I64
    """(U+1,) user u's rows are ``offsets[u]:offsets[u+1]``."""
    before: I64
    """(N,) position of the item before, -1 at the start of a history"""
    target: I64
    """(N,) position of the item that came"""


def once(log: Interactions) -> Interactions:
    """The log with repeats in a row taken once, as they are when a state is read."""
    user = log.user
    fresh = np.append(True, (log.item[1:] != log.item[:-1]) | (user[1:] != user[:-1])) if len(log) else np.zeros(0, np.bool_)
    return log.select(fresh)


def sequences(log: Interactions) -> Sequences:
    """The events of :func:`once`."""
    log = once(log)
    before = np.full(len(log), -1, np.int64)
    before[1:] = log.item[:-1]
    before[log.offsets[:-1][np.diff(log.offsets) > 0]] = -1
    return Sequences(log.offsets, before, log.item)


def batches(log: Sequences, steps: int, size: int, rng: np.random.Generator) -> Iterator[tuple[I64, I64]]:
    """One pass over all events, each the target once: (B, L) items before and (B, L) targets, -1 padding at the end.

    Histories are cut every ``steps`` events, at a place drawn anew each pass. Windows of like length share a batch.
    """
    start, end = _cuts(log.offsets, steps, rng)
    order = rng.permutation(len(start))
    near = 8 * size  # sort by length within a few batches' worth only: the rest of the order stays random
    parts = [order[i : i + near] for i in range(0, len(order), near)]
    order = np.concatenate([part[np.argsort((end - start)[part], kind="stable")] for part in parts])
    firsts = np.arange(0, len(order), size)
    for first in rng.permutation(firsts).tolist():
        rows = order[first : first + size]
        place = start[rows, None] + np.arange((end - start)[rows].max())
        inside = place < end[rows, None]
        place = np.where(inside, place, 0)
        yield np.where(inside, log.before[place], -1), np.where(inside, log.target[place], -1)


def batch_size(log: Sequences, steps: int, least: int = 16, passing: int = 150) -> int:
    """Windows of up to ``steps`` events for :func:`batches`, ``least`` to 512: so many that a pass takes about ``passing`` of
    them, for fewer learn too little in a pass."""
    windows = int((-(-np.diff(log.offsets) // steps)).sum())
    return int(np.clip(windows // passing, least, 512))


def _cuts(offsets: I64, steps: int, rng: np.random.Generator) -> tuple[I64, I64]:
    """Bounds (W,), (W,) of windows of at most ``steps`` rows that cover each user's rows once."""
    length = np.diff(offsets)
    # The first window of a history longer than one window is cut short by the draw; a shorter history stays whole.
    first = np.where(length > steps, rng.integers(1, steps + 1, len(length)), steps)
    count = np.where(length > 0, 1 + np.maximum(0, -(-(length - first) // steps)), 0)
    user = np.repeat(np.arange(len(length)), count)
    number = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
    low = np.where(number == 0, 0, first[user] + (number - 1) * steps)
    high = np.minimum(first[user] + number * steps, length[user])
    return offsets[user] + low, offsets[user] + high


def held_out(log: Interactions, rng: np.random.Generator, most: int = _JUDGES) -> tuple[Interactions, I64, I64]:
    """The log without the last event of ``most`` users, their histories (n, T) before it and that event's item (n,).

    Of events at one moment, whose order is not known, one is drawn. Users need two events, and the one held out must be
    new to them: seen items are left out of the ranking.
    """
    length = np.diff(log.offsets)
    users = np.flatnonzero(length >= 2)
    newest = log.at[log.offsets[1:][users] - 1]
    first = _first_of_moment(log, users, newest)
    out = first + (rng.random(len(users)) * (log.offsets[1:][users] - first)).astype(np.int64)
    new = [int((log.history(u) == log.item[row]).sum()) == 1 for u, row in zip(users.tolist(), out.tolist(), strict=True)]
    users, out = users[new], out[new]
    drawn = np.sort(rng.permutation(len(users))[:most])
    users, out = users[drawn], out[drawn]
    keep = np.ones(len(log), np.bool_)
    keep[out] = False
    longest = int(length[users].max(initial=1)) - 1
    histories = np.full((len(users), longest), -1, np.int64)
    for row, user in enumerate(users.tolist()):
        history = log.history(user)[keep[log.offsets[user] : log.offsets[user + 1]]]
        histories[row, longest - len(history) :] = history
    return log.select(keep), histories, log.item[out]


def _first_of_moment(log: Interactions, users: I64, newest: I64) -> I64:
    """(n,) the first row of each user's last moment."""
    bounds = zip(log.offsets[users].tolist(), log.offsets[users + 1].tolist(), newest.tolist(), strict=True)
    return np.array([low + int(np.searchsorted(log.at[low:high], moment)) for low, high, moment in bounds], np.int64)
