"""``longgame understand``: the catalogue's texts into vectors, once each."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from longgame.commands.terminal import progress, say, say_json, settings_of


def understand(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option(help="minilm, words or hashing.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read every item's text with the language model. What was read before is not read again."""
    from longgame.language import VectorCache
    from longgame.language import understand as read
    from longgame.store import open_store
    from longgame.wiring.language import language_model

    settings = settings_of(ctx, {"language.model": model})
    store = open_store(settings.store.url)
    try:
        items = list(store.items())
    finally:
        store.close()
    reader = language_model(settings)
    cached: list[int] = []
    begun = time.perf_counter()
    with progress("understand", "texts", quiet=json) as advance:

        def tell(done: int, total: int) -> None:
            if not cached:
                cached.append(done)  # the first word is what the cache held
            advance(done, total)

        features = read(items, reader, VectorCache(Path(settings.data.folder) / "vectors"), tell)
    seconds = time.perf_counter() - begun
    new = len(items) - (cached[0] if cached else 0)
    rate = new / seconds if new else 0.0
    if json:
        told = {"model": reader.name, "features": features.version, "width": features.width}
        say_json({**told, "items": len(items), "new": new, "cached": len(items) - new, "texts_per_second": round(rate, 1)})
        return
    say(f"{len(items):,} items with {reader.name}: {new:,} new, {len(items) - new:,} cached, {rate:,.0f} texts/s")
    if not items:
        say("the catalogue is empty: longgame import PATH")
