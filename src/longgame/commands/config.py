"""``longgame config``: what is set, and where it came from."""

from __future__ import annotations

from typing import Annotated

import typer

from longgame.commands.terminal import loaded_settings, say, say_json, say_table

app = typer.Typer(help="What is set, and where each value came from.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def check(
    ctx: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Validate the settings and print each with where it came from."""
    from longgame.settings.show import secret
    from longgame.settings.values import toml_value

    loaded = loaded_settings(ctx)
    held = {key: secret(toml_value(loaded.value(key))) for key in loaded.origin}
    if json:
        settings = {key: {"value": held[key], "from": origin} for key, origin in loaded.origin.items()}
        say_json({"ok": True, "file": loaded.file and str(loaded.file), "settings": settings})
        return
    say_table(("key", "value", "from"), [(key, held[key], origin) for key, origin in loaded.origin.items()])
    say(f"ok: {loaded.file or 'no settings file'}")


@app.command()
def show(
    ctx: typer.Context,
    defaults: Annotated[bool, typer.Option("--defaults", help="The defaults, whatever is set.")] = False,
) -> None:
    """Print a commented settings file: what is in force, or the defaults to start from."""
    from longgame.settings import Settings, as_toml

    say(as_toml(Settings() if defaults else loaded_settings(ctx).settings).rstrip())


@app.command()
def reference() -> None:
    """Print docs/configuration.md, every key with its meaning."""
    from longgame.settings import reference as page

    say(page().rstrip())


@app.command()
def models() -> None:
    """Print docs/model-settings.md, every field of every model's config."""
    from longgame.wiring.fields import page

    say(page().rstrip())
