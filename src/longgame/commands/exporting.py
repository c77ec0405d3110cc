"""``longgame export``: logged decisions in the form that another library reads."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from longgame.commands.terminal import say, say_json, settings_of


def export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="What to write, as in log.npz.")],
    to: Annotated[str, typer.Option(help="Whose form: d3rlpy.")] = "d3rlpy",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write decisions with what came of them as the columns of d3rlpy's MDPDataset, in one npz file."""
    from longgame.errors import ConfigError
    from longgame.wiring.exporting import export_d3rlpy
    from longgame.wiring.workspace import one_thread, workspace

    if to != "d3rlpy":
        raise ConfigError(f"export: --to must be d3rlpy, got {to!r}")
    if file.suffix != ".npz" or file.is_dir():
        raise ConfigError(f"export: the file must end in .npz and be no folder, got {file}")
    one_thread()
    with workspace(settings_of(ctx)) as ws:
        told = export_d3rlpy(ws, file)
    if json:
        say_json({**asdict(told), "file": str(file)})
        return
    say(
        f"{told.decisions:,} decisions as {told.steps:,} steps of {told.width} numbers, {told.items:,} actions; "
        f"{told.ends:,} ends, {told.cuts:,} cuts"
    )
    say(f"written to {file}: MDPDataset(**{{name: log[name] for name in log.files[:5]}}, action_size={told.items})")
