"""``longgame adapt``: the small language model learns from texts that people have judged."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longgame.commands.terminal import say, say_json, settings_of

if TYPE_CHECKING:
    from longgame.wiring.adapting import Adapting


def adapt(
    ctx: typer.Context,
    data: Annotated[Path, typer.Option(help="Judged texts: SemEval's .seg, or .txt of id, number and text by tabs.")],
    minutes: Annotated[float, typer.Option(help="To spend at most; the same command goes on later.")] = 30.0,
    epochs: Annotated[int, typer.Option(help="Passes over the texts.")] = 3,
    above: Annotated[int, typer.Option(help="Layers at the bottom that stay as they are, of 30: more is faster.")] = 14,
    rank: Annotated[int, typer.Option(help="Of the matrices that are learned.")] = 16,
    rate: Annotated[float, typer.Option(help="Learning rate at its highest.")] = 5e-4,
    holdout: Annotated[float, typer.Option(help="Share of the texts it does not learn from and is judged by.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Another one makes another adapter.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Teach the small language model a closed question from judged texts, on the processor, and keep an adapter."""
    from longgame.language.adapter import AdaptConfig
    from longgame.wiring import adapting
    from longgame.wiring.workspace import one_thread

    config = AdaptConfig(rank=rank, above=above, rate=rate, epochs=epochs, holdout=holdout, seed=seed)
    folder = Path(settings_of(ctx).data.folder)
    one_thread()
    report = adapting.adapt(folder, data, config, minutes, (lambda line: None) if json else say)
    if json:
        say_json(asdict(report))
    else:
        _say(report)


def _say(report: Adapting) -> None:
    if report.accuracy is not None and report.commonest is not None:
        before = "" if report.before is None else f", the model before {report.before:.1%}"
        say(
            f"{report.held_out:,} held-out texts: {report.accuracy:.1%} right{before}, "
            f"the commonest answer {report.commonest:.1%}"
        )
    say(f"{report.minutes:.1f} minutes, {report.cpu_minutes:.1f} of one core; written to {report.file}")
    if not report.done:
        say(
            f"out of time after {report.steps:,} of {report.of:,} steps: the same command goes on; "
            "this adapter is of what was learned so far"
        )
    say(f"longgame evaluate language --adapter {report.name} shows what it is worth on texts of its kind")
