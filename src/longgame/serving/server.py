"""Runs the application: one process, one event loop, until it is told to stop; then it finishes what it began."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from longgame.errors import ConfigError

GRACE = 10
"""Seconds that requests under way get to finish at the end."""
KEEP_ALIVE = 75
"""Seconds an idle connection stays open: longer than a proxy keeps it, or the proxy sends into a closing one."""


def run(app: FastAPI, host: str, port: int, on_started: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGINT or SIGTERM. ``on_started`` gets the address once connections are taken; port 0 is any free one.

    Raises ConfigError where the address cannot be had.
    """
    listener = _listen(host, port)
    # What is loaded by now stays: the collector need not walk the catalogue again and again while requests wait.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )
    bound = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    _Server(config, lambda: on_started(f"http://{shown}:{bound}")).run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn, which says when it has started."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise ConfigError(f"serve: {host!r} is no address of this machine ({error}); give --host 127.0.0.1") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise ConfigError(f"serve: cannot listen on {host} port {port} ({error.strerror}); give another --port") from None
    return listener
