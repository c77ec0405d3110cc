"""``longgame train``: the log -> candidates, a supervised network, a policy, and the proof that lets it go live."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from longgame.commands.terminal import say, say_json, settings_of


def train(
    ctx: typer.Context,
    algorithm: Annotated[str | None, typer.Option(help="reinforce or linear-thompson.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the logged decisions.")] = 3,
    force: Annotated[bool, typer.Option(help="Publish without the gate's consent; the snapshot says so.")] = False,
    follow: Annotated[bool, typer.Option(help="Go on learning from new feedback until stopped, as `serve` does.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Learn from the log, hold the result against what is live, and publish it if it is proven better."""
    from longgame.wiring.training import train as run
    from longgame.wiring.workspace import one_thread, workspace

    settings = settings_of(ctx, {"policy.algorithm": algorithm})
    one_thread()
    with workspace(settings) as ws:
        if follow:
            _follow(ws)
            return
        report = run(ws, epochs, force, (lambda line: None) if json else say)
    if json:
        say_json(asdict(report))
        return
    if report.published is None:
        say(f"not published: {report.reason}")
    else:
        say(f"published snapshot {report.published.number}, policy {report.policy}: {report.reason}")


def _follow(ws: object) -> None:
    """Follow the log until SIGTERM or SIGINT; what is under way is finished and saved."""
    import signal
    import threading

    from longgame.wiring.online import follow
    from longgame.wiring.workspace import Workspace

    assert isinstance(ws, Workspace)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    follow(ws, lambda seconds: not stop.wait(seconds), lambda line: typer.echo(f"learner: {line}", err=True))
