"""A bound on the seconds that reading may take: it ends after the batch under way, all of which is kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from longgame.language.endpoint import Ledger

Tell = Callable[[int, int], None]
"""Told how many of all are safe."""


class Spent(Exception):
    """The budget is spent. What was read is safe."""


class Budget:
    """Handed to what reads in the place of a :data:`Tell`, which it tells on. One for all that the seconds are for."""

    def __init__(self, seconds: float | None, tell: Tell = lambda done, total: None) -> None:
        """``seconds`` from now on; None: no bound."""
        self._seconds, self._tell, self._began = seconds, tell, time.perf_counter()
        self._heard = self._moved = False
        self.held = self.done = self.total = 0
        """Of what is read now: what was there before, what is there, and all."""
        self.new = 0
        """Read since the beginning, of all there was to read."""
        self.on_batch: Callable[[], None] = lambda: None
        """Called when a batch is safe."""

    @property
    def left(self) -> int:
        """Of what is read now."""
        return self.total - self.done

    @property
    def passed(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._began

    @property
    def ledger(self) -> Ledger:
        """Of models on this machine that count no tokens."""
        return Ledger(calls=self.new, seconds=self.passed)

    def __call__(self, done: int, total: int) -> None:
        """Raises Spent where the seconds are over and something is left.

        Not before a batch was read, whatever loading used up and however many parts were there already: else the same command
        would never go on.
        """
        if self._heard and total == self.total and done > self.done:
            self._moved, self.new = True, self.new + done - self.done
            self.on_batch()
        if not self._heard:
            self.held, self._heard = done, True  # the first word is what was there before
        self.done, self.total = done, total
        self._tell(done, total)
        if self._seconds is not None and self._moved and self.left and self.passed >= self._seconds:
            raise Spent
