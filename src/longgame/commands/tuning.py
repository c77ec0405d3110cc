"""``longgame tune``: better configurations of the models, found on validation events within a budget."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, cast

import typer

from longgame.commands.terminal import At, Share, Split, cut_of, places, say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from longgame.evaluation.tuning import Metric
    from longgame.wiring.tuning import TuneReport


def tune(
    ctx: typer.Context,
    models: Annotated[str | None, typer.Option(help="Names by commas, or all; those in use if left out.")] = None,
    minutes: Annotated[float | None, typer.Option(help="To spend on all of them together; 10 if no bound is given.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Configurations of each model, at most.")] = None,
    k: Annotated[int, typer.Option(min=1, help="Length of the ranking.")] = 10,
    metric: Annotated[str, typer.Option(help="ndcg, recall or mrr.")] = "ndcg",
    split: Split = None,
    at: At = None,
    share: Share = None,
    track: Annotated[str | None, typer.Option(help="tensorboard, wandb, or both by a comma.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Search configurations of the models on validation events; training and evaluation use what is found."""
    from pathlib import Path

    from longgame.evaluation.tuning import Budget
    from longgame.wiring import tuning
    from longgame.wiring.tracking import tracking
    from longgame.wiring.workspace import one_thread, workspace

    settings = settings_of(ctx, {"track.to": places(track)})
    quiet = (lambda line: None) if json else say
    budget = Budget(10.0 if minutes is None and trials is None else minutes, trials)
    names, held_out = tuning.chosen(models, settings, quiet), cut_of(split, at, share)
    one_thread()
    about = {"models": names, "k": k, "metric": metric, "split": split}
    with workspace(settings) as ws, tracking(settings.track.to, Path(settings.data.folder), "tune", about) as tracked:
        report = tuning.tune(
            ws, names, budget, held_out, k, cast("Metric", metric), quiet, tracked
        )  # it says what else there is
    if json:
        _say_json(report)
    else:
        _say(report, f"{metric}@{k}")


def _say(report: TuneReport, metric: str) -> None:
    rows = []
    for name, tuned in report.found.items():
        default = "failed" if tuned.default is None else f"{tuned.default:.4f}"
        values = ", ".join(
            f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in tuned.values.items()
        )
        rows.append((name, str(len(tuned.trials)), f"{tuned.seconds:.0f} s", default, f"{tuned.value:.4f}", values))
    say(f"\n{metric} on validation events (the best of many trials: a little too good to be true):")
    say_table(("model", "trials", "took", "default", "best", "values"), rows)
    for name, why in report.failed.items():
        say(f"{name} was not tuned: {why}")
    if not report.tried:
        say("nothing new was tried: the budget, over all calls together, was spent before; give more --minutes or --trials")
    if report.over > 1:
        say(f"{report.over:.0f} s over the {report.budget.minutes:g} minutes: a trial under way is not cut short")
    say(f"written to {report.file}")


def _say_json(report: TuneReport) -> None:
    from longgame.wiring.configs import plain

    models = {name: plain(asdict(tuned)) for name, tuned in report.found.items()}
    say_json({"models": models, "failed": report.failed, "file": str(report.file), "seconds_over": report.over})
