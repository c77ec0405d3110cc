"""``longgame understand --what reviews``: what people write of items, read once, and who was refused."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from longgame.commands.terminal import progress, say, say_json

if TYPE_CHECKING:
    from longgame.settings import Settings


def say_reviews(settings: Settings, json: bool) -> None:
    """Reads every review that no run has read before; says how many were heard, and which were not."""
    from longgame.wiring.reviews import hear
    from longgame.wiring.workspace import one_thread, workspace

    one_thread()
    with workspace(settings) as ws, progress("understand", "reviews", quiet=json) as advance:
        told = hear(settings, ws.events(), ws.cache, tell=advance)
    if json:
        refused = [asdict(one) for one in told.refused]
        say_json({"rated": told.rated, "read": len(told.said), "voices": len(told.voices), "refused": refused})
        return
    say(
        f"{told.rated:,} rated reviews learned from, {len(told.said):,} without a rating read, {len(told.refused):,} refused; "
        f"{len(told.voices):,} voices, one a user and item"
    )
    for one in told.refused[:10]:
        say(f"refused {one.event} of {one.user} on {one.item}: {one.why}")
    if len(told.refused) > 10:
        say(f"and {len(told.refused) - 10:,} more: --json names them all")
