"""The command line. It registers commands and turns errors into one line and an exit code; ``commands`` does the work.

Exit codes: 0 done, 1 it failed, 2 the input or the usage is wrong, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from longgame.commands import (
    adapting,
    bench,
    config,
    data,
    doctor,
    evaluating,
    exporting,
    importing,
    knowledge,
    profile,
    serving,
    training,
    tuning,
    understand,
    worlds,
)
from longgame.commands.terminal import Invocation, failed


class _Group(TyperGroup):
    """Commands whose errors are lines, not tracebacks."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            code = failed(error)
            if code is None or (isinstance(ctx.obj, Invocation) and ctx.obj.debug):
                raise
            raise typer.Exit(code) from None


app = typer.Typer(
    cls=_Group,
    name="longgame",
    help="A self-hosted recommender that plays the long game.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

GROUPS = (
    ("bench", bench.app),
    ("config", config.app),
    ("data", data.app),
    ("evaluate", evaluating.app),
    ("profile", profile.app),
)
"""Groups of commands: one line registers each."""

COMMANDS = (
    ("doctor", doctor.doctor),
    ("import", importing.import_),
    ("knowledge", knowledge.knowledge),
    ("understand", understand.understand),
    ("adapt", adapting.adapt),
    ("train", training.train),
    ("tune", tuning.tune),
    ("simulate", worlds.simulate),
    ("export", exporting.export),
    ("serve", serving.serve),
    ("demo", worlds.demo),
)
"""Commands without a group: one line registers each."""

for _name, _group in GROUPS:
    app.add_typer(_group, name=_name)
for _name, _command in COMMANDS:
    app.command(_name)(_command)


def _print_version(asked: bool) -> None:
    if asked:
        from longgame import __version__

        typer.echo(__version__)
        raise typer.Exit()


@app.callback()
def _global(
    ctx: typer.Context,
    config: Annotated[Path | None, typer.Option(help="Settings file; longgame.toml where none is named.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    ctx.obj = Invocation(config, debug)


def main() -> None:
    """The entry point of the ``longgame`` script."""
    try:
        app()
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
