"""Group commit: writes that arrive while one is on its way to the disk share the next one.

A disk confirms some hundreds of commits a second however small they are, so thirty-two threads that write
one record each must share a transaction. Whoever comes while nobody writes leads: it writes all that wait as one,
wakes them with their answers, and calls the first of those that came meanwhile to lead the next group.
It knows nothing of databases.
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

    __slots__ = ("answer", "done", "error", "leads", "size", "wake", "work")

    def __init__(self, work: Work, size: int) -> None:
        self.work, self.size = work, size
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.done = False
        self.leads = False
        self.wake = threading.Lock()  # released once: by then the ticket is done, or called to lead
        self.wake.acquire()


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
        self._state = threading.Lock()
        self._waiting: deque[_Ticket[Work, Answer]] = deque()
        self._busy = False
        """Somebody leads, or has been called to."""

    def submit(self, work: Work, size: int = 1) -> Answer:
        """Returns once ``work`` is written; raises what ``write`` raised for it."""
        ticket: _Ticket[Work, Answer] = _Ticket(work, size)
        with self._state:
            if self._busy:
                self._waiting.append(ticket)
            else:
                self._busy = ticket.leads = True
        if not ticket.leads:
            self._wait(ticket)
        if not ticket.done:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket.answer  # type: ignore[return-value]  # done without an error: answered

    def _wait(self, ticket: _Ticket[Work, Answer]) -> None:
        try:
            ticket.wake.acquire()
        except BaseException:  # interrupted, as by Ctrl-C: leave the queue, and do not take the lead along
            with self._state:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
            if ticket.leads and not ticket.done:
                self._hand_over()
            raise

    def _lead(self, own: _Ticket[Work, Answer]) -> None:
        group = [own]
        try:
            with self._state:
                size = own.size
                while self._waiting and size + self._waiting[0].size <= self._limit:
                    size += self._waiting[0].size
                    group.append(self._waiting.popleft())
            self._run(group)
        finally:
            undone = [ticket for ticket in group[1:] if not ticket.done]  # only if this thread was interrupted
            with self._state:
                self._waiting.extendleft(reversed(undone))
            for ticket in group[1:]:
                if ticket.done:
                    ticket.wake.release()
            self._hand_over()

    def _hand_over(self) -> None:
        with self._state:
            if self._waiting:
                following = self._waiting.popleft()
                following.leads = True
                following.wake.release()
            else:
                self._busy = False

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
