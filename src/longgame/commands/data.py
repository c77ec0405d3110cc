"""``longgame data``: the data sets and forms that are known, and fetching the public ones."""

from __future__ import annotations

from typing import Annotated

import typer

from longgame.commands.terminal import progress, say, say_json, settings_of

app = typer.Typer(help="Known data sets and forms of files.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """The public data sets that can be fetched, and the forms of files that can be imported."""
    from longgame.datasets.fetch import listing

    rows = listing()
    if json:
        say_json(rows)
        return
    for row in rows:
        say(f"{row['name']}: {row['title']}")
        say(f"  licence: {row['licence']}")
        say(f"  get: {row['get']}")


@app.command("get")
def get_(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="One of `longgame data list`.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch a public data set from its official address into the data folder."""
    from pathlib import Path

    from longgame.datasets.fetch import get

    folder = Path(settings_of(ctx).data.folder) / "datasets"
    with progress(f"get {name}", "bytes", quiet=json) as advance:
        fetched = get(name, folder, progress=lambda file, done, total: advance(done, total))
    if json:
        say_json({"folder": str(fetched.folder), "fresh": fetched.fresh, "unchecked": list(fetched.unchecked)})
        return
    say(f"{name}: {'fetched into' if fetched.fresh else 'is there already:'} {fetched.folder}")
    if fetched.unchecked:
        say(f"note: no published checksum for {', '.join(fetched.unchecked)}")
    say(f"next: longgame import {fetched.folder}")
