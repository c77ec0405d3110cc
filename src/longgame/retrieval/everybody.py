"""The best unseen items of every user at once: for mails, caches and tables, where nobody waits for one answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from longgame.arrays import Interactions
from longgame.errors import ConfigError
from longgame.retrieval.exact import top
from longgame.types import F32, I64

Score = Callable[[I64], F32]
"""As ``protocols.Model.score``; it may be called from several threads, which the models of longgame allow."""


_SCORES = 3_000_000
"""Scores held at once, a thread, where nothing is said: 12 MB."""


def top_unseen(
    score: Score, log: Interactions, n: int, users: I64 | None = None, batch: int | None = None, threads: int = 1
) -> I64:
    """(U, n') positions of each user's ``n`` best items that are not in his history, n' = min(n, I); -1 where there are fewer.

    Of equal scores the lower position wins. ``users`` (U,) are positions in ``log``, all of them by default. ``batch`` users
    are scored at once, 16 to 1024 by the size of the catalogue; the answer is the same for any number of ``threads``.
    """
    batch = batch if batch is not None else min(1024, max(16, _SCORES // max(1, len(log.items))))
    if batch < 1 or threads < 1:
        raise ConfigError(f"top_unseen: batch and threads must be 1 or more, got batch={batch} and threads={threads}")
    users = np.arange(len(log.users)) if users is None else users
    found = max(0, min(n, len(log.items)))
    out = np.full((len(users), found), -1, np.int64)

    def fill(first: int) -> None:
        histories = log.padded(users[first : first + batch])
        scores = score(histories)
        row, step = np.nonzero(histories >= 0)
        scores[row, histories[row, step]] = -np.inf
        out[first : first + batch] = best_of_each(scores, found)

    if found:
        firsts = range(0, len(users), batch)
        if threads == 1:
            for first in firsts:
                fill(first)
        else:
            with ThreadPoolExecutor(threads, "top-unseen") as pool:
                list(pool.map(fill, firsts))
    return out


def best_of_each(scores: F32, n: int) -> I64:
    """(B, I) -> (B, n) positions of the largest, best first, ties by position; -1 for those that are -inf."""
    size = scores.shape[1]
    cut = np.partition(scores, size - n, axis=1)[:, size - n]
    place = np.flatnonzero(scores >= cut[:, None])
    row = place // size
    if len(place) == n * len(scores):  # nobody's n-th ties with the next
        best = (place - row * size).reshape(-1, n)
    else:
        best = np.stack([top(one, n) for one in scores]) if len(scores) else np.zeros((0, n), np.int64)
    value = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-value, axis=1, kind="stable")
    return np.where(np.take_along_axis(value, order, axis=1) == -np.inf, -1, np.take_along_axis(best, order, axis=1))
