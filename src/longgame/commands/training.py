"""``longgame train``: the log -> candidates, a supervised network, a policy, and the proof that lets it go live."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from longgame.commands.terminal import places, say, say_json, settings_of

LOOK = 1.0
"""Seconds between two looks at whether the parent still lives."""


def train(
    ctx: typer.Context,
    algorithm: Annotated[str | None, typer.Option(help="As policy.algorithm: reinforce, slateq, linucb, ...")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the logged decisions.")] = 3,
    force: Annotated[bool, typer.Option(help="Publish without the gate's consent; the snapshot says so.")] = False,
    follow: Annotated[bool, typer.Option(help="Go on learning from new feedback until stopped, as `serve` does.")] = False,
    track: Annotated[str | None, typer.Option(help="tensorboard, wandb, or both by a comma.")] = None,
    parent: Annotated[int | None, typer.Option(hidden=True, help="With --follow: end when this parent process does.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Learn from the log, hold the result against what is live, and publish it if it is proven better."""
    from pathlib import Path

    from longgame.errors import ConfigError
    from longgame.wiring.tracking import tracking
    from longgame.wiring.training import train as run
    from longgame.wiring.workspace import one_thread, workspace

    if parent is not None and not follow:
        raise ConfigError(f"train: --parent {parent} goes with --follow only; leave it out")
    flags = {"policy.algorithm": algorithm, "track.to": places(track)}
    settings = settings_of(ctx, flags)
    if parent is not None and not settings.language.threads:
        settings = settings_of(ctx, {**flags, "language.threads": 1})  # the other cores are the server's
    one_thread()
    with workspace(settings) as ws:
        if follow:
            _follow(ws, parent)
            return
        with tracking(settings.track.to, Path(settings.data.folder), "train", settings.policy.model_dump()) as tracked:
            report = run(ws, epochs, force, (lambda line: None) if json else say, tracked)
    if json:
        say_json(asdict(report))
        return
    if report.published is None:
        say(f"not published: {report.reason}")
    else:
        say(f"published snapshot {report.published.number}, policy {report.policy}: {report.reason}")


def _follow(ws: object, parent: int | None) -> None:
    """Follow the log until SIGTERM or SIGINT, or until ``parent`` is no more; what is under way is finished and saved."""
    import os
    import signal
    import threading
    import time

    from longgame.wiring.online import follow
    from longgame.wiring.workspace import Workspace

    assert isinstance(ws, Workspace)
    if parent is not None:
        os.nice(10)  # beside a server: whoever waits for a slate comes first
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def wait(seconds: float) -> bool:
        """In short naps: a server that was killed cannot tell its learner, and the next one starts another."""
        end = time.monotonic() + seconds
        while not stop.is_set() and (parent is None or os.getppid() == parent):
            left = end - time.monotonic()
            if left <= 0:
                return True
            stop.wait(min(left, LOOK))
        return False

    follow(ws, wait, lambda line: typer.echo(f"learner: {line}", err=True))
