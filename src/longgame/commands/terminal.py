"""What every command shares: its settings, its errors, and how it speaks to people, to pipes and to programs.

To a terminal there are colours and bars; to anything else plain lines, and progress at most every few seconds. What a
command found out goes to stdout; progress and errors go to stderr.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from longgame.evaluation.splits import Cut
    from longgame.settings import Loaded, Settings

Split = Annotated[
    str | None,
    typer.Option(help="leave-one-out: each user's last event is the test; time: the latest. What the log allows if left out."),
]
At = Annotated[str | None, typer.Option(help="Where the test begins, as in 2024-03-01; means --split time.")]
Share = Annotated[
    float | None, typer.Option(help="With --split time: share of the events in the test, if --at is left out; 0.1 if not said.")
]
EVERY = 3.0
"""Seconds between two lines of progress where there is no terminal."""

Advance = Callable[[int, int | None], None]
"""Takes how much is done and how much there is in all, None if nobody knows."""


@dataclass(frozen=True)
class Invocation:
    """What was said before the command's name."""

    config: Path | None = None
    debug: bool = False


def loaded_settings(ctx: typer.Context, flags: dict[str, Any] | None = None) -> Loaded:
    """The settings of this call: flags ("section.key": value) over environment over file over defaults."""
    import os

    from longgame.settings import load_settings

    invocation = ctx.obj if isinstance(ctx.obj, Invocation) else Invocation()
    return load_settings(invocation.config, os.environ, flags)


def settings_of(ctx: typer.Context, flags: dict[str, Any] | None = None) -> Settings:
    """The settings alone."""
    return loaded_settings(ctx, flags).settings


def places(said: str | None) -> list[str] | None:
    """What ``--track`` says, for the setting ``track.to``. Raises ConfigError."""
    from longgame.errors import ConfigError

    found = None if said is None else [place.strip() for place in said.split(",") if place.strip()]
    if unknown := set(found or ()) - {"tensorboard", "wandb"}:
        raise ConfigError(f"--track: must be tensorboard, wandb or both by a comma, got {', '.join(sorted(unknown))}")
    return found


def cut_of(split: str | None, at: str | None, share: float | None = None) -> Cut | None:
    """What ``--split``, ``--at`` and ``--share`` say; None where they say nothing. Raises ConfigError."""
    from longgame.datasets.times import iso
    from longgame.errors import ConfigError
    from longgame.evaluation.splits import Cut

    when = iso(at) if at is not None else None
    if at is not None and when is None:
        raise ConfigError(f"--at: must be a date or a time in ISO 8601, got {at!r}; write for instance 2024-03-01")
    if share is not None and split != "time":
        raise ConfigError("split: --share goes with --split time; add it, or leave --share out")
    if share is not None and at is not None:
        raise ConfigError("split: --share and --at both say where the test begins; leave one of them out")
    if split is None and at is None:
        return None
    return Cut(split or "time", when, *(() if share is None else (share,)))


def failed(error: Exception) -> int | None:
    """Say ``error`` on stderr and return the exit code, if it is one of ours; None if it is not."""
    from longgame.errors import ConfigError, DataError, LonggameError, MissingExtra, RecordError

    if not isinstance(error, LonggameError):
        return None
    for line in str(error).splitlines():
        typer.secho(f"error: {line}", err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
    return 2 if isinstance(error, (ConfigError, DataError, RecordError, MissingExtra)) else 1


def say(text: str = "") -> None:
    """A line for people, on stdout."""
    typer.echo(text)


def say_json(content: Any) -> None:
    """One JSON document, on stdout."""
    import orjson

    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())


def say_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout: ruled on a terminal, in plain columns elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*head)
        for row in rows:
            table.add_row(*(cell.replace("[", "\\[") for cell in row))
        Console().print(table)
        return
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def progress(label: str, unit: str = "rows", quiet: bool = False) -> Iterator[Advance]:
    """How far a long piece of work is, with rate and time left, on stderr."""
    if quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        with _bar(label, unit) as advance:
            yield advance
    else:
        yield _lines(label, unit)


@contextmanager
def _bar(label: str, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:,.0f} {unit}/s")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _lines(label: str, unit: str) -> Advance:
    begun = last = time.monotonic()
    first: int | None = None

    def advance(done: int, total: int | None) -> None:
        nonlocal last, first
        first = done if first is None else first  # what was there already is not speed
        now = time.monotonic()
        if now - last < EVERY:
            return
        last = now
        rate = (done - first) / (now - begun)
        left = f", {(total - done) / rate:.0f} s left" if total and rate > 0 else ""
        of = f" of {total:,}" if total else ""
        typer.echo(f"{label}: {done:,}{of} {unit}, {rate:,.0f}/s{left}", err=True)

    return advance
