"""Which keys came before, in 16 bytes a row, so that a file of millions is checked for duplicates as a stream.

Keys go in by the chunk and are kept in a few sorted runs whose lengths double, as in a log-structured merge tree.
"""

from __future__ import annotations

import numpy as np

from longgame.types import I64


class Seen:
    """Remembers the line on which each 64-bit key was first met."""

    def __init__(self) -> None:
        self._runs: list[tuple[I64, I64]] = []

    def first(self, keys: I64, lines: I64) -> I64:
        """(n,) line where each key was first met before this row, -1 where it is new. Remembers the new ones.

        >>> seen = Seen()
        >>> seen.first(np.array([7, 8, 7]), np.array([1, 2, 3])).tolist()
        [-1, -1, 1]
        >>> seen.first(np.array([9, 8]), np.array([4, 5])).tolist()
        [-1, 2]
        """
        unique, position, back = np.unique(keys, return_index=True, return_inverse=True)
        earlier = np.full(len(unique), -1, np.int64)
        for run, run_lines in self._runs:
            spot = np.minimum(np.searchsorted(run, unique), len(run) - 1)
            hit = run[spot] == unique
            earlier[hit] = run_lines[spot[hit]]
        new = earlier < 0
        found = np.where(new, lines[position], earlier)[back]
        found[position[new]] = -1
        self._push(unique[new], lines[position[new]])
        return np.asarray(found, np.int64)

    def _push(self, keys: I64, lines: I64) -> None:
        while self._runs and len(self._runs[-1][0]) <= 2 * len(keys):
            run, run_lines = self._runs.pop()
            keys, lines = np.concatenate([run, keys]), np.concatenate([run_lines, lines])
            order = np.argsort(keys, kind="stable")
            keys, lines = keys[order], lines[order]
        if len(keys):
            self._runs.append((keys, lines))
