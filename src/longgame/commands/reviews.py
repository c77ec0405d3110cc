"""``longgame understand --what reviews``: what people write of items, read once, and who was refused."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from longgame.commands.terminal import progress, say, say_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from longgame.settings import Settings
    from longgame.wiring.reviews import Voice
    from longgame.wiring.workspace import Workspace


def say_reviews(settings: Settings, plan: bool, seconds: float | None, json: bool) -> None:
    """Reads every review that no run has read before; says how many were heard, what of, and which were not."""
    from longgame.wiring.hearing import listen
    from longgame.wiring.workspace import one_thread, workspace

    one_thread()
    with workspace(settings) as ws:
        if plan:
            _say_plan(ws, json)
            return
        with progress("understand", "reviews", quiet=json) as advance:
            done = listen(ws, seconds, advance, lambda line: typer.echo(line, err=True))
    told, aspects, used = done.voices, done.aspects, done.ledger
    ledger = {"ledger": asdict(used) | {"tokens": used.tokens}} if used else {}
    if used and not json:
        cost = f", {used.money:,.4f} by remote.price" if used.money else ""
        say(f"{used.calls:,} calls, {used.failed:,} of them failed, {used.tokens:,} tokens as the server counts{cost}")
    if told is None:
        if json:
            say_json({"left": done.left, **ledger})
        else:
            say(f"{done.left:,} texts or more are left: the same command goes on")
        return
    parts = {} if aspects is None else {name: _part(voices) for name, voices in zip(aspects.names, aspects.voices, strict=True)}
    if json:
        refused = [asdict(one) for one in told.refused]
        counts = {"left": 0, "rated": told.rated, "read": len(told.said), "voices": len(told.voices), "missed": done.missed}
        say_json({**counts, "aspects": parts, "refused": refused, **ledger})
        return
    say(
        f"{told.rated:,} rated reviews learned from, {len(told.said):,} without a rating read, {len(told.refused):,} refused; "
        f"{len(told.voices):,} voices, one a user and item"
    )
    if done.missed:
        say(f"a server left {done.missed:,} texts without an answer that can be used: the next run asks again")
    for name, part in parts.items():
        liked = "" if part["mean"] is None else f", {part['mean']:+.2f} on average, of -1 to 1"
        say(f"{name}: {part['voices']:,} voices on {part['items']:,} items{liked}")
    for one in told.refused[:10]:
        say(f"refused {one.event} of {one.user} on {one.item}: {one.why}")
    if len(told.refused) > 10:
        say(f"and {len(told.refused) - 10:,} more: --json names them all")


def _part(voices: Sequence[Voice]) -> dict[str, Any]:
    """What is said of one aspect of all items."""
    mean = sum(value for _, value, _ in voices) / len(voices) if voices else None
    return {"voices": len(voices), "items": len({item for item, _, _ in voices}), "mean": mean}


def _say_plan(ws: Workspace, json: bool) -> None:
    from longgame.wiring.hearing import plan

    found = plan(ws)
    if json:
        say_json({"models": [asdict(one) for one in found]})
        return
    for one in found:
        cost = f", about {one.cost:,.4f} by remote.price" if one.cost is not None else ""
        how = f"a server, which was not asked{cost}" if one.seconds is None else f"about {one.seconds:,.0f} s here and now"
        say(f"{one.texts:,} texts by {one.model}, {how}")
    if not found:
        say("all reviews were read already")
