"""``longgame understand``: the catalogue's texts into vectors, once each."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from longgame.commands.reviews import say_reviews
from longgame.commands.terminal import progress, say, say_json, settings_of

if TYPE_CHECKING:
    from longgame.settings import Settings


def understand(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option(help="minilm, e5, words, combined, hashing or remote.")] = None,
    what: Annotated[str, typer.Option(help="vectors of items, or reviews: what people write of them.")] = "vectors",
    plan: Annotated[bool, typer.Option("--plan", help="Say what it will take, and stop.")] = False,
    budget: Annotated[str | None, typer.Option(help="Read for so long at most, as in 30m; the rest waits.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read every item's text, or every review, with the language model. What was read before is not read again."""
    from longgame.errors import ConfigError
    from longgame.settings.tree import duration
    from longgame.wiring import understanding

    settings = settings_of(ctx, {"language.model": model})
    try:
        seconds = None
        if budget is not None:
            seconds = duration(float(budget) if budget.isdigit() else budget).total_seconds()
    except ValueError as wrong:
        raise ConfigError(f"--budget: {wrong}, got {budget!r}") from None
    if what not in ("vectors", "reviews"):
        raise ConfigError(f"--what: must be vectors or reviews, got {what!r}")
    if what == "reviews":
        if plan or budget is not None:
            raise ConfigError("--what reviews: has no plan and no budget; it can be stopped, and goes on where it was")
        say_reviews(settings, json)
        return
    if plan:
        _say_plan(settings, json)
        return
    with progress("understand", "texts", quiet=json) as advance:
        done = understanding.understand(settings, seconds, advance)
    rate = done.new / done.seconds if done.new else 0.0
    if json:
        told = {"model": done.model, "items": done.items, "new": done.new, "cached": done.items - done.new - done.left}
        if done.features is not None:
            told |= {"features": done.features.version, "width": done.features.width}
        ledger = {"ledger": asdict(done.ledger)} if done.ledger else {}
        say_json({**told, "left": done.left, "texts_per_second": round(rate, 1), **ledger})
        return
    cached = done.items - done.new - done.left
    say(f"{done.items:,} items with {done.model}: {done.new:,} new, {cached:,} cached, {rate:,.0f} texts/s")
    if done.ledger:
        used = done.ledger
        say(f"{used.calls:,} calls, {used.failed:,} of them failed, {used.tokens:,} tokens as the server counts")
    if done.left:
        say(f"{done.left:,} items are left: the same command goes on")
    if not done.items:
        say("the catalogue is empty: longgame import PATH")


def _say_plan(settings: Settings, json: bool) -> None:
    from longgame.wiring import understanding

    told = understanding.plan(settings)
    if json:
        say_json(asdict(told))
        return
    say(
        f"{told.items:,} items with {told.model}: {told.texts:,} texts to read, {told.characters:,} characters, about "
        f"{told.tokens:,} tokens"
    )
    if told.seconds is not None:
        say(f"about {told.seconds:,.0f} s on this machine as it is now, by a sample of the texts")
    if told.calls is not None:
        cost = f", about {told.cost:,.4f} by remote.price" if told.cost is not None else ""
        say(f"{told.calls:,} calls if none fails{cost}; the server was not asked")
