"""Looks for a newly published policy and puts it in place. A bad one is kept out, and never stops the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from longgame.errors import LonggameError
from longgame.serving.service import Live, Service

Poll = Callable[[], Live | None]
"""What is newer than at the last call, or None."""

log = logging.getLogger("longgame.serving")


class Reloader:
    """Polls in a thread, swaps on the loop."""

    def __init__(self, service: Service, poll: Poll, seconds: float = 1.0) -> None:
        self._service, self._poll, self._seconds = service, poll, seconds
        self.warning = ""
        """What went wrong at the last look; empty if nothing did."""

    async def run(self) -> None:
        """Look every ``seconds`` until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._seconds)

    async def look(self) -> None:
        """Look once."""
        try:
            live = await asyncio.to_thread(self._poll)
        except Exception as error:
            self._warn(error)
            return
        if self.warning:
            log.info("the registry can be read again")
            self.warning = ""
        if live is not None:
            self._service.swap(live)
            log.info("policy %s is live (snapshot %d)", live.recommender.policy.version, live.snapshot)

    def _warn(self, error: Exception) -> None:
        warning = str(error) if isinstance(error, LonggameError) else f"{type(error).__name__}: {error}"
        if warning != self.warning:  # said once, not every second
            log.warning("the published policy cannot be loaded, the old one stays: %s", warning)
            self.warning = warning
