"""``longgame understand --what reviews``: what people write of items, read once, and who was refused."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from longgame.commands.terminal import progress, say, say_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from longgame.settings import Settings
    from longgame.wiring.reviews import Voice


def say_reviews(settings: Settings, json: bool) -> None:
    """Reads every review that no run has read before; says how many were heard, what of, and which were not."""
    from longgame.wiring.aspects import heard, keep, reader_of
    from longgame.wiring.reviews import hear
    from longgame.wiring.workspace import one_thread, workspace

    one_thread()
    reader, aspects = reader_of(settings) if settings.reviews.aspects else None, None
    with workspace(settings) as ws:
        with progress("understand", "reviews", quiet=json) as advance:
            told = hear(settings, ws.events(), ws.cache, tell=advance)
        if reader is not None:
            with progress("aspects", "reviews", quiet=json) as advance:
                aspects = heard(settings, ws.events(), told, ws.cache, reader, advance)
        keep(settings, [item.id for item in ws.store.items()], told, aspects)
    parts = {} if aspects is None else {name: _part(voices) for name, voices in zip(aspects.names, aspects.voices, strict=True)}
    if json:
        refused = [asdict(one) for one in told.refused]
        counts = {"rated": told.rated, "read": len(told.said), "voices": len(told.voices)}
        say_json({**counts, "aspects": parts, "refused": refused})
        return
    say(
        f"{told.rated:,} rated reviews learned from, {len(told.said):,} without a rating read, {len(told.refused):,} refused; "
        f"{len(told.voices):,} voices, one a user and item"
    )
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
