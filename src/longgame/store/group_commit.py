"""Group commit: writes that arrive while one is on its way to the disk share the next one.

A disk confirms some hundreds of commits a second however small they are, so thirty-two threads that write
one record each must share a transaction. Whoever gets the lock first leads: it takes all that wait, writes
them as one, and the others find their answer when the lock comes to them. It knows nothing of databases.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Work = TypeVar("Work")
Answer = TypeVar("Answer")


class _Ticket(Generic[Work, Answer]):
    """One caller's write, and what came of it."""

    def __init__(self, work: Work, size: int) -> None:
        self.work, self.size = work, size
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.done = False


class GroupCommit(Generic[Work, Answer]):
    """Merges concurrent writes. ``write`` takes what several callers want written and answers each, all or nothing."""

    def __init__(
        self,
        write: Callable[[Sequence[Work]], Sequence[Answer]],
        *,
        limit: int = 20_000,
        alone: Callable[[Exception], bool] = lambda error: True,
    ) -> None:
        """``limit``: rows in one transaction (a single write may be larger).
        ``alone``: whether, after this error, each write of the group deserves a try of its own."""
        self._write, self._limit, self._alone = write, limit, alone
        self._waiting: deque[_Ticket[Work, Answer]] = deque()
        self._lead = threading.Lock()

    def submit(self, work: Work, size: int = 1) -> Answer:
        """Returns once ``work`` is written; raises what ``write`` raised for it."""
        ticket: _Ticket[Work, Answer] = _Ticket(work, size)
        self._waiting.append(ticket)
        with self._lead:
            # A leader that was interrupted leaves tickets that are neither waiting nor done: they lead themselves.
            if not ticket.done:
                self._run(self._group(ticket))
        if ticket.error is not None:
            raise ticket.error
        return ticket.answer  # type: ignore[return-value]

    def _group(self, own: _Ticket[Work, Answer]) -> list[_Ticket[Work, Answer]]:
        group, size = [own], own.size
        while self._waiting:
            first = self._waiting[0]
            if first is not own and not first.done:
                if size + first.size > self._limit:
                    break
                group.append(first)
                size += first.size
            self._waiting.popleft()
        return group

    def _run(self, group: list[_Ticket[Work, Answer]]) -> None:
        try:
            answers = self._write([ticket.work for ticket in group])
        except Exception as error:
            if len(group) > 1 and self._alone(error):
                for ticket in group:
                    self._run([ticket])
                return
            for ticket in group:
                ticket.error, ticket.done = error, True
            return
        for ticket, answer in zip(group, answers, strict=True):
            ticket.answer, ticket.done = answer, True
