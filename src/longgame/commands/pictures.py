"""What ``longgame understand --what pictures`` says."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from longgame.commands.terminal import progress, say

if TYPE_CHECKING:
    from longgame.settings import Settings
    from longgame.wiring.pictures import Done


def look(settings: Settings, plan: bool, seconds: float | None, json: bool) -> tuple[dict[str, Any], float]:
    """Read the catalogue's pictures, or only say what that will take; what it came to, and the seconds it took."""
    from longgame.wiring import pictures
    from longgame.wiring.workspace import one_thread

    one_thread()
    if plan:
        told = pictures.plan(settings)
        if not json:
            say(f"pictures by {told.model}: {told.pictures:,} to read, {told.bytes / 1e6:,.1f} MB, in {told.items:,} items")
            say(f"  about {told.seconds:,.0f} s on this machine now, by a sample of them")
        return asdict(told), 0.0
    with progress("pictures", "pictures", quiet=json) as advance:
        done = pictures.read(settings, seconds, advance)
    if not json:
        _say(done, settings.pictures.use)
    return asdict(done), done.seconds


def _say(done: Done, used: bool) -> None:
    rate = f", {done.new / done.seconds:,.0f} a second" if done.new else ""
    say(f"pictures by {done.model}: {done.items:,} items, {done.seen:,} with a vector; {done.new:,} new{rate}")
    for why, count in sorted(done.without.items()):
        say(f"  {count:,} without: {why}")
    if done.left:
        say(f"  {done.left:,} are left: the same command goes on")
    elif done.fusion:
        say(f"  joined to the texts by {done.fusion}")
        if not used:
            say("  next: pictures.use = true in the settings puts them beside the texts, at the next `longgame train`")
