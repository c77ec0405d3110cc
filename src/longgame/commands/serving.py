"""``longgame serve``: the server, and beside it, in a process of its own, the learner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from longgame.commands.profile import sentences
from longgame.commands.terminal import Invocation, settings_of

if TYPE_CHECKING:
    from longgame.serving.service import Live
    from longgame.settings import Settings
    from longgame.wiring.workspace import Workspace

LOCAL = ("memory:", "sqlite:")
"""How the URLs of logs begin that are on this machine; any other answers over a network."""
AGAIN = 5.0
"""Seconds before a learner that died is started again."""


def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes any free one.")] = None,
    learn: Annotated[bool | None, typer.Option(help="Learn from feedback beside the server, or not.")] = None,
) -> None:
    """Answer requests over HTTP, and learn from what comes back."""
    from longgame.wiring.workspace import one_thread, workspace

    settings = settings_of(ctx, {"serve.host": host, "serve.port": port, "learner.enabled": learn})
    invocation = ctx.obj if isinstance(ctx.obj, Invocation) else Invocation()
    one_thread()
    # The server takes both signals while it runs, finishes what it began, and raises them again: then this ends the
    # block in order, so that no learner outlives its server.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with workspace(settings) as ws, learner(settings, invocation):
        run(ws, settings)


def run(ws: Workspace, settings: Settings, on_started: Callable[[str], None] | None = None) -> None:
    """Serve a workspace until told to stop."""
    import logging

    from longgame.serving import wire
    from longgame.serving.http import create_app
    from longgame.serving.reload import Reloader
    from longgame.serving.server import run as listen
    from longgame.serving.service import Service

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    poll = poller(ws)
    s = settings.serve
    first = poll()
    if first is None:
        typer.echo("no policy is published yet, so requests for slates are refused: run `longgame train`", err=True)
    service = Service(ws.store, first, s.history, sentences(settings))
    limits = wire.Limits(s.max_body, s.max_batch, s.max_k, s.ahead)
    app = create_app(
        service,
        limits=limits,
        context=settings.context.names,
        reloader=Reloader(service, poll, s.reload.total_seconds()),
        remote=not settings.store.url.startswith(LOCAL),
    )
    listen(app, s.host, s.port, on_started or (lambda url: typer.echo(f"longgame serves on {url} (API: {url}/docs)")))


def poller(ws: Workspace) -> Callable[[], Live | None]:
    """Looks at the registry; gives the live recommender each time another one was published."""
    from longgame.serving.service import Live

    seen = 0

    def poll() -> Live | None:
        nonlocal seen
        current = ws.registry.current()
        if current is None or current.number == seen:
            return None
        loaded = ws.load(current)
        assert loaded is not None
        seen = current.number
        return Live(loaded.recommender, current.number, current.proof)

    return poll


@contextmanager
def learner(settings: Settings, invocation: Invocation) -> Iterator[None]:
    """The learner's process while the block runs; started again if it dies. None where the log cannot be shared."""
    if not settings.learner.enabled:
        yield
        return
    if settings.store.url == "memory:":
        typer.echo("learner: off, for a log in memory cannot be shared with its process", err=True)
        yield
        return
    command = [sys.executable, "-m", "longgame"]
    if invocation.config is not None:
        command += ["--config", str(invocation.config)]
    # Killed with no chance to end the block, the server leaves nobody behind: the learner sees that its parent is gone.
    command += ["train", "--follow", "--parent", str(os.getpid())]
    stop = threading.Event()
    process: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(target=_keep, args=(command, stop, process), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        for running in process:
            running.terminate()
        thread.join(timeout=30)


def _keep(command: list[str], stop: threading.Event, process: list[subprocess.Popen[bytes]]) -> None:
    while not stop.is_set():
        running = subprocess.Popen(command)
        process[:] = [running]
        if stop.is_set():  # the end came between the look at it and the start: nobody else knows of this one
            running.terminate()
        code = running.wait()
        if not stop.is_set():
            typer.echo(f"learner: ended with code {code}; starts again in {AGAIN:.0f} s", err=True)
            stop.wait(AGAIN)
