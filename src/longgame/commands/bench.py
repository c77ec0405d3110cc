"""``longgame bench``: what is claimed, and what shows it."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from longgame.commands.terminal import say, say_json, say_table

app = typer.Typer(help="What is claimed, and the benchmark that shows it.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def bench() -> None:
    """What is claimed, and the benchmark that shows it."""


@app.command("list")
def list_(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of docs/benchmarks.md.")] = False,
) -> None:
    """Name every claim, its goal, and the command that shows it in a checkout."""
    from longgame.wiring.claims import CLAIMS, table

    if json:
        say_json([{"claim": claim.what, "goal": claim.goal, "command": claim.command} for claim in CLAIMS])
    elif markdown:
        say(table())
    else:
        say_table(("command", "claim", "goal"), [(claim.command, plain(claim.what), plain(claim.goal)) for claim in CLAIMS])


def plain(text: str) -> str:
    """Without Markdown.

    >>> plain("`--peer`: more ([reading.md](reading.md))")
    '--peer: more (docs/reading.md)'
    """
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"docs/\1", text).replace("`", "")
