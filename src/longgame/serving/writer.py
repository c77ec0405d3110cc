"""Decisions on their way to the disk: those that arrive while one commit is under way share the next.

The store would merge the writes of many threads too; but then every request wakes a thread of its own, and the threads
fight with the loop over the interpreter. One thread and one transaction for all who wait cost a fraction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from longgame.types import Decision

Write = Callable[[Sequence[Decision]], Sequence[Decision | Exception]]
"""Makes decisions durable; for each what holds now, or why it could not be written."""

MOST = 500
"""Decisions in one commit."""


class Writer:
    """Used from one event loop; the write runs in a thread."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(1, "longgame-write")
        self._waiting: list[tuple[Decision, asyncio.Future[Decision]]] = []
        self._task: asyncio.Task[None] | None = None

    async def keep(self, decision: Decision) -> Decision:
        """What the log holds under the decision's id, durable when this returns."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Decision] = loop.create_future()
        self._waiting.append((decision, done))
        if self._task is None:
            self._task = loop.create_task(self._drain())
        return await done

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._task is not None:
            await asyncio.wait([self._task])
        await asyncio.to_thread(self._thread.shutdown)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                try:
                    answers = await loop.run_in_executor(self._thread, self._write, [decision for decision, _ in batch])
                except Exception as error:
                    answers = [error] * len(batch)
                for (_, done), answer in zip(batch, answers, strict=True):
                    _settle(done, answer)
        finally:
            self._task = None


def _settle(done: asyncio.Future[Decision], answer: Decision | Exception) -> None:
    if done.cancelled():  # the caller hung up; its decision is in the log all the same
        return
    if isinstance(answer, Exception):
        done.set_exception(answer)
    else:
        done.set_result(answer)
