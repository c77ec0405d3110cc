"""The texts that decisions repeat, each with an append-only number: item ids and version names.

The numbers are dense from 0 and never change, so what is in memory can only be too short, never wrong.
This is the copy in memory; the table ``word`` is written by ``sql``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_ROOM = 1024
"""Words there is room for at first; doubled when full."""


class WordCache:
    """Numbers to words and back. ``load(n)`` gives the words of the database from number ``n`` on, in order."""

    def __init__(self, load: Callable[[int], Sequence[str]]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._room = np.empty(_ROOM, object)
        self._words: npt.NDArray[Any] = self._room[:0]

    @property
    def numbers(self) -> Mapping[str, int]:
        """Word to number, as far as known; grows while others read it."""
        return self._numbers

    def catch_up(self) -> None:
        """Read what the database has more than memory."""
        with self._lock:
            known = len(self._words)
            words = self._load(known)
            size = known + len(words)
            if size > len(self._room):
                room = np.empty(max(size, 2 * len(self._room)), object)
                room[:known] = self._words
                self._room = room
            self._room[known:size] = words
            self._words = self._room[:size]
            self._numbers.update(zip(words, range(known, size), strict=True))

    def __call__(self, numbers: npt.NDArray[Any]) -> list[str]:
        """(n,) numbers -> n words. IndexError for a number that the database does not have either."""
        try:
            found: list[str] = self._words.take(numbers).tolist()
        except IndexError:
            self.catch_up()
            found = self._words.take(numbers).tolist()
        return found
